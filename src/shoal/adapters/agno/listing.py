"""What every listing of Agno's databases does with its rows in the end: sort them, and take a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .records import Row

__all__ = ["page_of", "sorted_by"]


def sorted_by(rows: list[Row], field: str | None, order: str | None) -> list[Row]:
    """The rows by a field, from high to low unless the order is "asc".

    As they are if there is no field, or the first row does not have it, or its values have no order. None is the highest;
    where there is no `updated_at`, `created_at` takes its place.
    """
    if field is None or not rows or field not in rows[0]:
        return rows

    def key(row: Row) -> tuple[bool, Any]:
        value = row.get(field)
        if value is None and field == "updated_at":
            value = row.get("created_at")
        return value is None, value

    try:
        return sorted(rows, key=key, reverse=bool(order != "asc" if order else True))
    except TypeError:
        return rows


def page_of(rows: list[Any], limit: int | None, page: int | None) -> list[Any]:
    """At most `limit` of them, of the page, which counts from 1; without a limit there are no pages."""
    if limit is None:
        return rows
    start = 0 if page is None else (page - 1) * limit
    return rows[start : start + limit]
