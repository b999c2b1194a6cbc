"""The admin as a whole; each room registers its own tables."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.views.autocomplete import AutocompleteJsonView
from django.core.exceptions import PermissionDenied
from django.db.models import ForeignKey, ManyToManyField
from django.http import HttpRequest, HttpResponse


class PickListView(AutocompleteJsonView):
    def process_request(self, request: HttpRequest) -> Any:
        """Refuse a relation that no form has a field for: Django's view fails at it."""
        term, model_admin, source_field, name = super().process_request(request)
        if not isinstance(source_field, (ForeignKey, ManyToManyField)):
            raise PermissionDenied
        return term, model_admin, source_field, name


def pick_list(request: HttpRequest) -> HttpResponse:
    answer: HttpResponse = PickListView.as_view(admin_site=admin.site)(request)  # type: ignore[assignment]
    return answer


admin.site.index_title = "Home"
# The root of the gateway is its API; there is no page to view.
admin.site.site_url = None
admin.site.autocomplete_view = pick_list  # type: ignore[method-assign]
