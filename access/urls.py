"""Addresses of the security API; a trailing slash may be there or not. Literal words win over user names."""

from __future__ import annotations

from django.urls import re_path

from access.views.api_keys import ApiKeysView
from access.views.callers import AuthenticateView, HasPrivilegesView
from access.views.users import PasswordView, UsersView, UserView

_USER = r"(?P<username>.+?)"

urlpatterns = [
    re_path(r"^_security/api_key/?$", ApiKeysView.as_view()),
    re_path(r"^_security/_authenticate/?$", AuthenticateView.as_view()),
    re_path(r"^_security/user/?$", UsersView.as_view()),
    re_path(r"^_security/user/_has_privileges/?$", HasPrivilegesView.as_view()),
    re_path(r"^_security/user/_password/?$", PasswordView.as_view()),
    re_path(rf"^_security/user/{_USER}/_password/?$", PasswordView.as_view()),
    re_path(rf"^_security/user/{_USER}/?$", UserView.as_view()),
]
