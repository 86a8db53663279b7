"""Moments and spans in words, as officials write them."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

WEEKDAYS = {
    "vi": ("thứ Hai", "thứ Ba", "thứ Tư", "thứ Năm", "thứ Sáu", "thứ Bảy", "Chủ Nhật"),
    "en": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
}


def moment(when: datetime, zone: ZoneInfo, language: str) -> str:
    """Return "08 giờ 00 phút, thứ Hai, ngày 23/11/2026", or the same in English."""
    local = when.astimezone(zone)
    weekday = WEEKDAYS.get(language, WEEKDAYS["en"])[local.weekday()]
    if language == "vi":
        return f"{local:%H} giờ {local:%M} phút, {weekday}, ngày {local:%d/%m/%Y}"
    return f"{local:%H:%M}, {weekday} {local:%d/%m/%Y}"


def day(when: datetime, zone: ZoneInfo, language: str) -> str:
    """Return "thứ Hai, 23/11/2026", or the same in English."""
    local = when.astimezone(zone)
    return f"{WEEKDAYS.get(language, WEEKDAYS['en'])[local.weekday()]}, {local:%d/%m/%Y}"


def duration(span: timedelta, language: str) -> str:
    """Return "1 giờ 30 phút", or "1 h 30 min"."""
    hours, minutes = divmod(round(span.total_seconds() / 60), 60)
    hour, minute = ("giờ", "phút") if language == "vi" else ("h", "min")
    parts = [f"{hours} {hour}"] if hours else []
    if minutes or not hours:
        parts.append(f"{minutes} {minute}")
    return " ".join(parts)
