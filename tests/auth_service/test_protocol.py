"""The protocol as clients meet it."""

from tests.auth_service.exchange import CALLBACK, ISSUER, Auth


async def test_code_flow_works(auth: Auth) -> None:
    """A signed-in person's browser comes back with a code that buys all three tokens."""
    browser = await auth.signed_in()
    asked = await browser.authorize()
    assert asked.location.startswith(f"{CALLBACK}?")
    assert asked.answer["state"] == "a-state"
    assert asked.answer["iss"] == ISSUER
    response = await auth.redeem(asked)
    assert response.status_code == 200, response.text
    assert response.headers["Cache-Control"] == "no-store"
    body = response.json()
    assert set(body) >= {"access_token", "id_token", "refresh_token", "expires_in", "token_type"}
