"""Reading XML from bridges: without entities, and with an error of ours when it is none."""

from __future__ import annotations

from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from confbridge.errors import DriverError


def parsed(text: str) -> Element:
    """Return the root of a document.

    Raises DriverError.
    """
    try:
        found: Element = fromstring(text)
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise DriverError("the bridge does not answer in XML", permanent=True) from error
    return found


def text_of(parent: Element, path: str) -> str:
    """Return the text of a child; "" where there is none."""
    return (parent.findtext(path) or "").strip()


def number_of(parent: Element, path: str) -> int:
    """Return the whole number in a child; 0 where there is none."""
    text = text_of(parent, path)
    return int(text) if text.lstrip("-").isdecimal() else 0
