"""Moments and spans in words, as officials write them."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from confbridge.domain.recurrence import Every, Rule, Weekday, parsed

# All that is told of a state secret (NĐ 26/2020/NĐ-CP): that somebody is busy.
SECRET_TITLE = "Bận – họp nội bộ"  # noqa: S105
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


EVERY = {
    "vi": {
        Every.DAY: ("hằng ngày", "{n} ngày một lần"),
        Every.WEEK: ("hằng tuần", "{n} tuần một lần"),
        Every.MONTH: ("hằng tháng", "{n} tháng một lần"),
        Every.YEAR: ("hằng năm", "{n} năm một lần"),
    },
    "en": {
        Every.DAY: ("every day", "every {n} days"),
        Every.WEEK: ("every week", "every {n} weeks"),
        Every.MONTH: ("every month", "every {n} months"),
        Every.YEAR: ("every year", "every {n} years"),
    },
}
NTH = {
    "vi": {1: "đầu tiên", 2: "thứ hai", 3: "thứ ba", 4: "thứ tư", 5: "thứ năm", -1: "cuối cùng"},
    "en": {1: "first", 2: "second", 3: "third", 4: "fourth", 5: "fifth", -1: "last"},
}


def repetition(rrule: str, zone: ZoneInfo, language: str) -> str:
    """Return "hằng tuần vào thứ Hai, 10 lần", or the same in English."""
    spoken = language if language in EVERY else "en"
    rule = parsed(rrule, zone)
    once, several = EVERY[spoken][rule.every]
    said = once if rule.interval == 1 else several.format(n=rule.interval)
    days = [_weekday(one, rule, spoken) for one in rule.weekdays]
    days += [_month_day(number, spoken) for number in rule.month_days]
    if days:
        said += (" vào " if spoken == "vi" else " on ") + ", ".join(days)
    if rule.months:
        months = ", ".join(map(str, rule.months))
        said += f" (tháng {months})" if spoken == "vi" else f" (month {months})"
    if rule.count is not None:
        return f"{said}, {rule.count} lần" if spoken == "vi" else f"{said}, {rule.count} times"
    until = _date(rule.until, zone) if rule.until else ""
    return f"{said}, đến {until}" if spoken == "vi" else f"{said}, until {until}"


def _weekday(one: Weekday, rule: Rule, language: str) -> str:
    name = WEEKDAYS[language][one.day]
    nth = one.nth or (rule.places[0] if rule.places else 0)
    if not nth:
        return name
    ordinal = NTH[language].get(nth, str(nth))
    return f"{name} {ordinal}" if language == "vi" else f"the {ordinal} {name}"


def _month_day(number: int, language: str) -> str:
    if number == -1:
        return "ngày cuối tháng" if language == "vi" else "the last day"
    return f"ngày {number}" if language == "vi" else f"day {number}"


def _date(moment: datetime, zone: ZoneInfo) -> str:
    return f"{moment.astimezone(zone):%d/%m/%Y}"
