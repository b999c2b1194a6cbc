"""Addresses of the security API and of teams; a trailing slash may be there or not. Words win over user names."""

from __future__ import annotations

from django.urls import re_path

from access.views.api_keys import ApiKeysView
from access.views.callers import AuthenticateView, HasPrivilegesView
from access.views.team_keys import TeamKeysView, TeamKeyView
from access.views.teams import MembersView, MemberView, TeamsView, TeamView
from access.views.users import PasswordView, UsersView, UserView

_USER = r"(?P<username>.+?)"
_TEAM = r"^_gateway/teams/(?P<slug>[^/]+)"

urlpatterns = [
    re_path(r"^_security/api_key/?$", ApiKeysView.as_view()),
    re_path(r"^_security/_authenticate/?$", AuthenticateView.as_view()),
    re_path(r"^_security/user/?$", UsersView.as_view()),
    re_path(r"^_security/user/_has_privileges/?$", HasPrivilegesView.as_view()),
    re_path(r"^_security/user/_password/?$", PasswordView.as_view()),
    re_path(rf"^_security/user/{_USER}/_password/?$", PasswordView.as_view()),
    re_path(rf"^_security/user/{_USER}/?$", UserView.as_view()),
    re_path(r"^_gateway/teams/?$", TeamsView.as_view()),
    re_path(rf"{_TEAM}/?$", TeamView.as_view()),
    re_path(rf"{_TEAM}/members/?$", MembersView.as_view()),
    re_path(rf"{_TEAM}/members/{_USER}/?$", MemberView.as_view()),
    re_path(rf"{_TEAM}/api_keys/?$", TeamKeysView.as_view()),
    re_path(rf"{_TEAM}/api_keys/(?P<key_id>[^/]+)/?$", TeamKeyView.as_view()),
]
