"""What came of cases as JUnit's XML, which CI servers read: a suite for each place."""

from __future__ import annotations

from xml.etree import ElementTree

from handlerkit.cases.report import CaseReport, CaseResult
from handlerkit.formatting import plain, visible


def junit(report: CaseReport) -> str:
    """The text of an XML file. A case that differs is a failure; one that could not be run is an error."""
    suites = ElementTree.Element("testsuites", name="handlerkit")
    for place in report.places:
        results = place.results
        bad = [one for one in results if not one.ok]
        failures = sum(one.verdict in ("different", "new") for one in bad)
        suite = ElementTree.SubElement(
            suites,
            "testsuite",
            name=visible(place.name),
            tests=str(len(results)),
            failures=str(failures),
            errors=str(len(bad) - failures),
            time=f"{sum(one.seconds or 0 for one in results):.3f}",
        )
        for one in results:
            case = ElementTree.SubElement(
                suite, "testcase", classname=one.model or "cases", name=one.name, time=f"{one.seconds or 0:.3f}"
            )
            if not one.ok:
                kind = "failure" if one.verdict in ("different", "new") else "error"
                entry = ElementTree.SubElement(case, kind, message=one.verdict)
                entry.text = visible(plain(_told(one)))
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, "unicode", xml_declaration=True) + "\n"


def _told(result: CaseResult) -> str:
    lines = [result.why] if result.why else []
    for row in result.rows:
        lines += [f"{found.where}: {found.ours} -> {found.theirs}" for found in row.differences]
    return "\n".join(lines)
