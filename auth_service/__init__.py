"""Who people are and what they may do: accounts, roles, sign-in, tokens.

Owns accounts, single sign-on sessions, OAuth clients and the signing keys; it is the OpenID Connect provider
of every other service. Hears nothing. Says AccountCreated, AccountUpdated, AccountRoleChanged, AccountBlocked
(topic `auth.accounts`), SessionBegan, SessionEnded (topic `auth.sessions`).
"""
