"""Looking for many rows at once by a column of texts, and getting the texts of many rows at once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from sqlalchemy import JSON, Column, ColumnElement, Connection, Text, any_, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY


def among(connection: Connection, column: Column[str], values: Iterable[str]) -> ColumnElement[bool]:
    """Return the condition that a column has one of these values, as the connection's database takes it fastest.

    It gets one parameter, a list, so that the statement is the same for any number of values and is made and parsed
    once; a parameter a value costs more than the search.
    """
    if connection.dialect.name == "postgresql":
        return column == any_(bindparam(None, list(values), type_=ARRAY(Text), unique=True))
    listed = func.json_each(bindparam(None, json.dumps(list(values)), type_=Text, unique=True)).table_valued("value")
    return column.in_(select(listed.c.value))


def listed(connection: Connection, column: Column[str]) -> ColumnElement[Sequence[str]]:
    """Return the aggregate of a group's values of a column, as a list in no order: cheaper to get than a row each."""
    if connection.dialect.name == "postgresql":
        return func.array_agg(column)
    return func.json_group_array(column, type_=JSON)
