"""How pages write dates: as logs and the API do, with the zone behind the time. Django finds this by its name."""

from __future__ import annotations

DATE_FORMAT = "Y-m-d"
TIME_FORMAT = "H:i"
DATETIME_FORMAT = "Y-m-d H:i e"
