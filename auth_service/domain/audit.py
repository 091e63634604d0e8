"""The acts that the audit log tells of, in words for people."""

from collections.abc import Mapping

from service_kit.roles import Role
from service_kit.text import message as _

ACTS = {
    "signed_in": _("Signed in"),
    "sign_in_failed": _("Sign-in failed"),
    "session_ended": _("Session ended"),
    "account_created": _("Account created"),
    "account_updated": _("Account changed"),
    "role_changed": _("Role changed"),
    "account_blocked": _("Account blocked"),
    "account_unblocked": _("Block lifted"),
    "password_changed": _("Password changed"),
    "password_reset": _("New password by a letter"),
    "password_link_sent": _("Link for a password sent"),
    "letter_written": _("Letter with a link written"),
    "letter_given_up": _("Letter given up"),
    "application_made": _("Account asked for"),
    "application_approved": _("Request approved"),
    "application_declined": _("Request declined"),
    "password_rehashed": _("Password hash renewed"),
    "factor_added": _("Factor added"),
    "factor_removed": _("Factor removed"),
    "recovery_codes_made": _("Recovery codes made"),
    "recovery_code_used": _("Recovery code used"),
    "device_allowed": _("Device let in"),
    "device_refused": _("Device sent away"),
    "code_replayed": _("Code replayed"),
    "refresh_token_reused": _("Refresh token reused"),
    "consent_given": _("Application let in"),
    "consent_withdrawn": _("Application shut out"),
    "client_created": _("Application added"),
    "client_changed": _("Application changed"),
    "client_secret_rotated": _("Secret of an application replaced"),
    "client_disabled": _("Application switched off"),
    "client_enabled": _("Application switched on"),
    "keys_rotated": _("Signing keys rotated"),
}

REASONS = {
    "wrong password": _("wrong password"),
    "unknown login": _("unknown login"),
    "account blocked": _("account blocked"),
    "too many tries": _("too many tries"),
    "wrong code": _("wrong code of the app"),
    "too many codes": _("too many codes"),
    "wrong code of a letter": _("wrong code of a letter"),
    "wrong passkey": _("wrong passkey"),
    "ended by an administrator": _("ended by an administrator"),
    "ended from the list": _("ended from the list"),
    "password changed": _("password changed"),
    "role changed": _("role changed"),
    "signed out": _("signed out"),
    "signed out at a client": _("signed out at an application"),
    "signed out everywhere": _("signed out everywhere"),
    "somebody else signed in": _("somebody else signed in"),
}

DETAILS = {
    "methods": _("by what"),
    "reason": _("why"),
    "kind": _("letter"),
    "attempts": _("attempts"),
    "factor": _("factor"),
    "role": _("role"),
    "from": _("before"),
    "to": _("now"),
    "fields": _("fields"),
    "scopes": _("scopes"),
}

_ROLES = {role.value: role.label for role in Role}

VALUES: Mapping[str, Mapping[str, str]] = {
    "reason": REASONS,
    "role": _ROLES,
    "from": _ROLES,
    "to": _ROLES,
    "methods": {
        "pwd": _("password"),
        "otp": _("code of the app"),
        "email": _("code of a letter"),
        "pop": _("passkey"),
        "user": _("presence of the person"),
    },
    "factor": {"totp": _("authenticator app"), "passkey": _("passkey"), "passkeys": _("passkeys")},
    "kind": {
        "reset": _("forgotten password"),
        "invite": _("invitation"),
        "approved": _("request approved"),
        "declined": _("request declined"),
        "applied": _("request received"),
        "password_changed": _("password changed"),
        "passkey_added": _("passkey added"),
        "code": _("code for a sign-in"),
    },
}
"""What is written with an act, by its name; what is not named here is shown as it is written."""
