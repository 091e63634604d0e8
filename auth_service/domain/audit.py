"""The acts that the audit log tells of, in words for people."""

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
    "application_made": _("Account asked for"),
    "application_approved": _("Request approved"),
    "application_declined": _("Request declined"),
    "password_rehashed": _("Password hash renewed"),
    "factor_added": _("Authenticator app added"),
    "factor_removed": _("Authenticator app removed"),
    "recovery_codes_made": _("Recovery codes made"),
    "recovery_code_used": _("Recovery code used"),
    "device_allowed": _("Device let in"),
    "device_refused": _("Device sent away"),
    "code_replayed": _("Code replayed"),
    "refresh_token_reused": _("Refresh token reused"),
    "keys_rotated": _("Signing keys rotated"),
}
