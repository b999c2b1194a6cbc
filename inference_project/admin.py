"""The admin as a whole; each room registers its own tables."""

from __future__ import annotations

from django.contrib import admin

admin.site.index_title = "Home"
# The root of the gateway is its API; there is no page to view.
admin.site.site_url = None
