"""What the list of endpoints does with several at once; each is done to those that the user may manage."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from access import actors
from access.models import User
from endpoints import lifecycle, trials
from endpoints.forms import MoveForm
from endpoints.models import Endpoint
from wire.errors import ApiError

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin

    _Base = ModelAdmin[Endpoint]
else:
    _Base = object

_LONGEST_MESSAGE = 300


class BulkActions(_Base):
    @admin.action(description="Enable", permissions=["change"])
    def enable(self, request: HttpRequest, queryset: QuerySet[Endpoint]) -> None:
        self._set(request, queryset, "Enabled", enabled=True)

    @admin.action(description="Disable", permissions=["change"])
    def disable(self, request: HttpRequest, queryset: QuerySet[Endpoint]) -> None:
        self._set(request, queryset, "Disabled", enabled=False)

    @admin.action(description="Test", permissions=["change"])
    def test(self, request: HttpRequest, queryset: QuerySet[Endpoint]) -> None:
        """Ask the providers of trials.MOST endpoints something short, all at once."""
        chosen = self._managed(request, queryset)
        if len(chosen) > trials.MOST:
            rest = len(chosen) - trials.MOST
            self.message_user(request, f"Tested the first {trials.MOST}; {rest} were left out.", messages.WARNING)
        for trial in trials.run(chosen[: trials.MOST]):
            level = messages.SUCCESS if trial.works else messages.ERROR
            self.message_user(request, _told(trial)[:_LONGEST_MESSAGE], level)

    @admin.action(description="Move to a team", permissions=["change"])
    def move(self, request: HttpRequest, queryset: QuerySet[Endpoint]) -> HttpResponse | None:
        """Ask for the team first, on a page of its own."""
        assert isinstance(request.user, User)
        chosen = self._managed(request, queryset)
        form = MoveForm(request.POST if "team" in request.POST else None, caller=request.user.caller)
        if form.is_valid():
            self._set(request, queryset, "Moved", team_id=form.team_id)
            return None
        context = {
            **self.admin_site.each_context(request),
            "title": "Move inference endpoints to a team",
            "opts": self.opts,
            "form": form,
            "endpoints": chosen,
            "action": "move",
            "checkbox": helpers.ACTION_CHECKBOX_NAME,
        }
        return TemplateResponse(request, "endpoints/move.html", context)

    def _set(self, request: HttpRequest, queryset: QuerySet[Endpoint], done: str, **gateway: Any) -> None:
        assert isinstance(request.user, User)
        by = actors.of_session(request.user, request)

        def act(endpoint: Endpoint) -> bool:
            return lifecycle.set_gateway(endpoint.inference_id, gateway, by=by, judged=endpoint)

        self._each(request, queryset, done, act)

    def _each(
        self, request: HttpRequest, queryset: QuerySet[Endpoint], done: str, act: Callable[[Endpoint], bool]
    ) -> None:
        count = 0
        for endpoint in self._managed(request, queryset):
            try:
                count += act(endpoint)
            except ApiError as error:
                self.message_user(request, error.reason, messages.ERROR)
        self.message_user(request, f"{done}: {count}", messages.SUCCESS)

    def _managed(self, request: HttpRequest, queryset: QuerySet[Endpoint]) -> list[Endpoint]:
        """Return those that the user may manage, and say how many he may not."""
        found = list(queryset)
        managed = [one for one in found if self.has_change_permission(request, one)]
        if len(managed) < len(found):
            rest = len(found) - len(managed)
            self.message_user(request, f"You do not manage {rest} of these inference endpoints.", messages.WARNING)
        return managed


def _told(trial: trials.Trial) -> str:
    if not trial.works:
        return f"{trial.inference_id}: {trial.error[-1]} {trial.hint}"
    if trial.first_delta is None:
        return f"{trial.inference_id} works: {trial.seconds:.2f} s"
    return f"{trial.inference_id} works: {trial.first_delta:.2f} s to the first delta, {trial.seconds:.2f} s in all"
