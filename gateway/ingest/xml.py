"""Any XML body that a site's map takes: answered in XML, `<response><code>…</code><msg>…</msg><data>…</data></response>`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.ingest.kind import Admission, Level, Origin, Verdict
from gateway.journal import Incoming
from mappings.language.result import Result
from terminology.issues import FhirError, Issue

if TYPE_CHECKING:
    from mappings.language.active import ActiveMaps
    from mappings.xml.parse import XmlMessage

CODES: dict[Verdict, str] = {"accept": "0", "error": "422", "reject": "400"}


@dataclass(frozen=True, slots=True)
class Root:
    """What an answer repeats of the message: the name of its root."""

    name: str = "response"


class Xml:
    """The map of a body is the one that takes its root (docs/mapping.md, XML)."""

    name = "xml"
    media_type = "application/xml; charset=utf-8"

    def __init__(self, maps: "ActiveMaps", *, fallback_charset: str | None = None) -> None:
        self.maps, self.fallback = maps, fallback_charset

    def admit(self, raw: bytes, origin: Origin) -> Sequence[Admission]:
        message: XmlMessage | None = None
        try:
            message = self.parse(raw)
            event = self.maps.find_xml(message).name
        except FhirError as error:
            verdict: Verdict = "reject" if message is None else "error"
            kept = self._incoming(raw, message, message.root.name[:80] if message else "", origin, error)
            return [Admission(Root(), kept, message, error, verdict)]
        return [
            Admission(Root(message.root.name), self._incoming(raw, message, event, origin, None), message)
        ]

    def parse(self, raw: bytes) -> "XmlMessage":
        from mappings.xml.parse import parse

        return parse(raw, fallback=self.fallback)

    def map(self, message: "XmlMessage") -> Result:
        return self.maps.run_xml(message)

    def wants(self, header: Root, level: Level, verdict: Verdict) -> bool:
        return level == "original"

    def answer(
        self, header: Root, verdict: Verdict, *, level: Level, issues: Sequence[Issue] = (), text: str = ""
    ) -> bytes:
        from mappings.hl7v3.write import HEAD, leaf, tag

        said = issues[0].text("zh") if issues else "成功"
        problems = [
            tag(
                "issue",
                {"code": issue.code, "location": issue.source},
                leaf("zh", issue.text("zh")),
                leaf("en", issue.text("en")),
                leaf("fix", f"{issue.fix('zh')} / {issue.fix('en')}"),
            )
            for issue in issues
        ]
        data = tag("data", None, leaf("message", text), *problems)
        return (HEAD + tag("response", None, leaf("code", CODES[verdict]), leaf("msg", said), data)).encode()

    def join(self, answers: Sequence[bytes], header: Root) -> bytes:
        return answers[0]

    def refuse(self, raw: bytes, error: FhirError) -> bytes | None:
        return self.answer(Root(), "reject", level="original", issues=error.issues)

    def _incoming(
        self, raw: bytes, message: "XmlMessage | None", event: str, origin: Origin, error: FhirError | None
    ) -> Incoming:
        return origin.incoming(
            self.name,
            raw,
            source=message.root.name[:80] if message is not None else "xml",
            event=event,
            error=error,
        )
