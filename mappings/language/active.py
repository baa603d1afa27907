"""The maps in use: the shipped ones and those of a site's folder, reloaded when a file changes.

A changed file is read, compiled and tested before it takes the place of the version before; when it fails, that one
stays and `problems` tells why. The shipped maps were compiled and tested before they were shipped: they are compiled
when their first message comes, so that starting takes no time. Versions stay at hand by their hash, so that a replay can use the one of its time.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mappings.hl7v2.message import Message
from mappings.language.compile import Map
from mappings.language.converters import Sender
from mappings.language.document import Document, extend, read_document
from mappings.language.errors import problem
from mappings.language.fitting import particularity
from mappings.language.result import Result
from mappings.language.trial import run_trials
from mappings.outbound.compile import OutboundMap
from mappings.outbound.trial import run_outbound_trials
from mappings.xml.parse import XmlMessage
from mappings.xml.shapes import no_map, shaped
from terminology.fhirjson import Json
from terminology.issues import FhirError, InvalidInput, Issue, UnmappableMessage
from terminology.translate import Translator

if TYPE_CHECKING:
    from mappings.dicom import Instance
    from mappings.dicom.charset import Charset

SHIPPED = Path(__file__).parent.parent / "maps"
LOOK_SECONDS = 1.0
VERSIONS_KEPT = 200
EXTEND_DEPTH = 5

_Stamp = tuple[int, int]


class ActiveMaps:
    """`folder`: a site's own maps; `senders`: settings of a source by "MSH-3|MSH-4" pattern; `clock`: monotonic seconds.

    Reading `folder` happens inside `refresh` only, which every use calls at most once a second.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        translator: Translator | None = None,
        sender: Sender | None = None,
        senders: Mapping[str, Sender] | None = None,
        shipped: Path | None = SHIPPED,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folders = [path for path in (shipped, folder) if path is not None]
        self.translator = translator or Translator()
        self.sender = sender or Sender()
        self.senders = dict(senders or {})
        self.clock = clock
        self.problems: dict[str, tuple[Issue, ...]] = {}
        self.versions: OrderedDict[str, Map | OutboundMap] = OrderedDict()
        self._stamps: dict[Path, _Stamp] = {}
        self._documents: dict[Path, Document] = {}
        self._maps: dict[str, Map | OutboundMap] = {}
        # Every active map as written, what it extends merged in; `_maps` holds those compiled so far.
        self._wholes: dict[str, Document] = {}
        self._tried: dict[str, str] = {}
        self._found: dict[tuple[str, str, str, str], Map | None] = {}
        self._looked = float("-inf")

    # What app and previews call

    def handles(self, code: str, event: str) -> bool:
        """Tell whether some map takes HL7 v2 messages of this code and event."""
        self.refresh()
        kind = f"{code}^{event}"
        return any(_fits(whole, kind) for whole in self._wholes.values() if whole.format == "hl7v2")

    def events(self) -> list[str]:
        """Return what the HL7 v2 maps take: "ADT^A01", …"""
        self.refresh()
        return sorted(
            {kind for whole in self._wholes.values() if whole.format == "hl7v2" for kind in _kinds(whole)}
        )

    def run(self, message: Message, *, explain: bool = False) -> Result:
        """Return what a message of segments becomes; raises UnmappableMessage (HT-MAP-35) when no map takes it."""
        application, facility = message.origin
        map = self.find(message.format, f"{message.code}^{message.event}", application, facility)
        sender = self.sender_of(application, facility)
        return map.convert(message, sender, self.translator, explain=explain)

    def run_row(self, row: Any, name: str, *, explain: bool = False, sender: Sender | None = None) -> Result:
        """Return what a JSON body or table row becomes by the map `name`."""
        return self.get(name).convert(row, sender or self.sender, self.translator, explain=explain)

    def run_xml(
        self,
        message: XmlMessage,
        *,
        name: str = "",
        application: str = "",
        facility: str = "",
        explain: bool = False,
    ) -> Result:
        """Return what an XML message becomes by the map `name`, or by the one that takes such messages of this sender."""
        sender = self.sender_of(application, facility)
        map = self.get(name) if name else self.find_xml(message, application, facility)
        return map.convert(message, sender, self.translator, explain=explain)

    def run_dicom(
        self, instance: "Instance", record: Json, *, named: str | None = None, explain: bool = False
    ) -> Result:
        """Return what a DICOM object becomes; `record`: its keywords with what is known of its study.

        Its map is found by modality; sender patterns say "StationName|InstitutionName".
        """
        result = self._run_keywords(named or instance.modality, record, is_named=bool(named), explain=explain)
        result.control_id = instance.uid
        return _with_charset(result, instance.charset)

    def run_study(self, record: Json, charset: "Charset") -> Result:
        """Return what a study becomes, whatever its objects are: by the map for any modality."""
        return _with_charset(self._run_keywords("STUDY", record), charset)

    def run_step(self, record: Json, charset: "Charset") -> Result:
        """Return what a performed procedure step becomes: by the map of MPPS."""
        return _with_charset(self._run_keywords("MPPS", record), charset)

    def _run_keywords(
        self, kind: str, record: Json, *, is_named: bool = False, explain: bool = False
    ) -> Result:
        station, institution = (str(record.get(name) or "") for name in ("StationName", "InstitutionName"))
        map = self.get(kind) if is_named else self.find("dicom", kind or "-", station, institution)
        result = map.convert(record, self.sender_of(station, institution), self.translator, explain=explain)
        result.kind = str(record.get("Modality") or kind)
        return result

    def sender_of(self, application: str, facility: str) -> Sender:
        """Return the settings of a source: the first pattern that fits "application|facility"."""
        name = f"{application}|{facility}"
        return next(
            (sender for pattern, sender in self.senders.items() if fnmatchcase(name, pattern)), self.sender
        )

    def get(self, name: str) -> Map:
        """Return the active map of a name that reads messages; raises UnmappableMessage (HT-MAP-35)."""
        self.refresh()
        found = self._compiled(name) if name in self._wholes else None
        if not isinstance(found, Map):
            raise self._unknown(name, is_outbound=False)
        return found

    def outbound(self, name: str) -> OutboundMap:
        """Return the active map of a name that writes messages; raises UnmappableMessage (HT-MAP-35)."""
        self.refresh()
        found = self._compiled(name) if name in self._wholes else None
        if not isinstance(found, OutboundMap):
            raise self._unknown(name, is_outbound=True)
        return found

    def is_outbound(self, name: str) -> bool:
        """Tell whether a name is that of a map that writes messages."""
        self.refresh()
        return name in self._wholes and self._wholes[name].target is not None

    def _unknown(self, name: str, *, is_outbound: bool) -> UnmappableMessage:
        known = [
            one for one, whole in sorted(self._wholes.items()) if (whole.target is not None) is is_outbound
        ]
        return UnmappableMessage("HT-MAP-35", kind=name, known=", ".join(known) or "-")

    def all(self, *formats: str) -> list[Map]:
        """Return the active maps that read messages, of these formats when some are named, in the order of their names."""
        self.refresh()
        found = [
            self._compiled(name)
            for name, whole in sorted(self._wholes.items())
            if whole.target is None and (not formats or whole.format in formats)
        ]
        return [map for map in found if isinstance(map, Map)]

    def _compiled(self, name: str) -> Map | OutboundMap:
        map = self._maps.get(name)
        if map is None:
            whole = self._wholes[name]
            map = self._maps[name] = self.versions.get(whole.hash) or compile_map(whole)
            self._keep(map)
        return map

    def find(self, format: str, kind: str, application: str = "", facility: str = "") -> Map:
        """Return the map for a kind of message ("ORU^R01") of a sender: the most particular one wins.

        Particular is: made for this sender, a site's own rather than a shipped one, an overlay, this event rather than all.
        """
        self.refresh()
        key = (format, kind, application, facility)
        if key not in self._found:
            if len(self._found) > 10_000:
                self._found.clear()
            self._found[key] = self._choose(*key)
        found = self._found[key]
        if found is None:
            raise UnmappableMessage(
                "HT-MAP-35",
                source="MSH-9" if format == "hl7v2" else None,
                kind=kind,
                known=", ".join(self.events()) or "-",
            )
        return found

    def name_for(self, message: XmlMessage, application: str, facility: str, usual: str) -> str:
        """Return the map of a message: a site's own that takes it, else the `usual` one, else any that takes it."""
        try:
            found = self.find_xml(message, application, facility)
        except UnmappableMessage:
            if not usual:
                raise
            return usual
        path = found.document.path
        is_shipped = path is not None and path.parent == SHIPPED
        return usual if is_shipped and usual else found.name

    def find_xml(self, message: XmlMessage, application: str = "", facility: str = "") -> Map:
        """Return the map for an XML message of a sender, the most particular one as in `find`; raises UnmappableMessage."""
        self.refresh()
        sender = f"{application}|{facility}"
        systems = self.sender_of(application, facility).systems
        best: tuple[tuple[int, ...], str] | None = None
        problem: UnmappableMessage | None = None
        for whole in self._wholes.values():
            if whole.format != "xml":
                continue
            try:
                asked = particularity(
                    whole.source, shaped(message, "".join(whole.source.get("shape", ())), systems)
                )
            except UnmappableMessage as error:
                problem = problem or error
                continue
            senders = whole.source.get("senders", ())
            if not asked or (senders and not any(fnmatchcase(sender, pattern) for pattern in senders)):
                continue
            path = whole.path
            is_own = path is not None and path.parent != SHIPPED
            score = (1 if senders else 0, 1 if is_own else 0, self._depth(whole), asked)
            if best is None or score > best[0]:
                best = (score, whole.name)
        if best is None:
            known = sorted({root for one in self._wholes.values() for root in one.source.get("root", ())})
            raise problem or no_map(message, ", ".join(known))
        return self.get(best[1])

    def _choose(self, format: str, kind: str, application: str, facility: str) -> Map | None:
        name = f"{application}|{facility}"
        best: tuple[tuple[int, ...], str] | None = None
        for whole in self._wholes.values():
            if whole.format != format or not _fits(whole, kind):
                continue
            senders = whole.source.get("senders", ())
            if senders and not any(fnmatchcase(name, pattern) for pattern in senders):
                continue
            path = whole.path
            score = (
                1 if senders else 0,
                1 if path is not None and path.parent != SHIPPED else 0,
                self._depth(whole),
                1 if kind in _kinds(whole) else 0,
            )
            if best is None or score > best[0]:
                best = (score, whole.name)
        return self.get(best[1]) if best else None

    def _depth(self, document: Document) -> int:
        depth = 0
        while document.extends and depth < EXTEND_DEPTH:
            depth += 1
            base = next((one for one in self._documents.values() if one.name == document.extends), None)
            if base is None:
                break
            document = base
        return depth

    # Loading

    def refresh(self, *, now: bool = False) -> bool:
        """Look for changed files, at most once a second unless `now`; return whether a map changed."""
        moment = self.clock()
        if not now and moment - self._looked < LOOK_SECONDS:
            return False
        self._looked = moment
        stamps = _stamps(self.folders)
        if stamps == self._stamps:
            return False
        for path in set(self._stamps) - set(stamps):
            self._documents.pop(path, None)
            self.problems.pop(str(path), None)
        for path, stamp in stamps.items():
            if self._stamps.get(path) != stamp:
                self._read(path)
        self._stamps = stamps
        return self._activate()

    def _read(self, path: Path) -> None:
        self.problems.pop(str(path), None)
        try:
            document = read_document(path.read_bytes(), file=path.name, path=path)
        except InvalidInput as error:
            self.problems[str(path)] = error.issues
            return
        except OSError as error:
            self.problems[str(path)] = (problem("HT-MAP-01", path.name, reason=error.strerror or str(error)),)
            return
        other = next(
            (one for place, one in self._documents.items() if one.name == document.name and place != path),
            None,
        )
        if other is not None:
            self.problems[str(path)] = (
                problem("HT-MAP-24", document.place, name=document.name, other=other.place.file),
            )
            return
        self._documents[path] = document
        self._tried.pop(document.name, None)

    def _activate(self) -> bool:
        """Compile and test what changed; what fails leaves the version before in place."""
        changed = False
        names = {document.name for document in self._documents.values()}
        for name in set(self._wholes) - names:
            self._maps.pop(name, None)
            del self._wholes[name]
            changed = True
        for path, document in self._documents.items():
            try:
                whole = self._resolved(document)
                known = self._wholes.get(whole.name)
                if (known is not None and known.hash == whole.hash) or self._tried.get(
                    whole.name
                ) == whole.hash:
                    continue
                self._tried[whole.name] = whole.hash
                map = self.versions.get(whole.hash)
                if path.parent != SHIPPED:
                    map = map or compile_map(whole)
                    # A site's zone or systems must not make a map's own tests fail.
                    failed = try_map(map, self.translator)
                    if failed:
                        raise InvalidInput(failed)
            except InvalidInput as error:
                self.problems[str(path)] = error.issues
                continue
            self.problems.pop(str(path), None)
            self._wholes[whole.name] = whole
            self._maps.pop(whole.name, None)
            if map is not None:
                self._maps[whole.name] = map
                self._keep(map)
            changed = True
        if changed:
            self._found.clear()
        return changed

    def _keep(self, map: Map | OutboundMap) -> None:
        self.versions[map.hash] = map
        self.versions.move_to_end(map.hash)
        while len(self.versions) > VERSIONS_KEPT:
            self.versions.popitem(last=False)

    def _resolved(self, document: Document, depth: int = 0) -> Document:
        if document.extends is None:
            return document
        base = next((one for one in self._documents.values() if one.name == document.extends), None)
        if base is None or base is document or depth >= EXTEND_DEPTH:
            raise InvalidInput([problem("HT-MAP-23", document.place, name=document.extends)])
        return extend(self._resolved(base, depth + 1), document)


def _with_charset(result: Result, charset: "Charset") -> Result:
    """Return the result with the charset facts of an object; one that was worked out is told (HT-DCM-09)."""
    result.codec, result.declared = charset.codec, charset.declared or None
    result.is_guessed = charset.is_guessed
    if charset.is_guessed:
        values = {"declared": (charset.declared or "-")[:40], "codec": charset.codec}
        result.issues = [Issue("HT-DCM-09", values, "warning", source="(0008,0005)"), *result.issues]
    return result


def compile_map(document: Document) -> Map | OutboundMap:
    """Return a map ready to run: one that writes messages when it has a target. Raises InvalidInput."""
    return OutboundMap(document) if document.target is not None else Map(document)


def try_map(map: Map | OutboundMap, translator: Translator) -> list[Issue]:
    """Return what failed of a map's own tests."""
    return (
        run_outbound_trials(map, translator) if isinstance(map, OutboundMap) else run_trials(map, translator)
    )


def load_map(path: Path, *, folder: Path | None = None) -> Map | OutboundMap:
    """Return one map file, compiled but not tested; what it extends is looked for in `folder` and among the shipped ones.

    Raises InvalidInput with every problem.
    """
    document = read_document(path.read_bytes(), file=path.name, path=path)
    chain = [document]
    known = [one for one in (folder, path.parent, SHIPPED) if one is not None and one.is_dir()]
    while chain[-1].extends:
        base = _find_document(chain[-1].extends, known)
        if base is None or len(chain) > EXTEND_DEPTH:
            raise InvalidInput([problem("HT-MAP-23", chain[-1].place, name=chain[-1].extends)])
        chain.append(base)
    whole = chain.pop()
    while chain:
        whole = extend(whole, chain.pop())
    return compile_map(whole)


def _find_document(name: str, folders: Sequence[Path]) -> Document | None:
    for folder in folders:
        for path in _map_files(folder):
            try:
                document = read_document(path.read_bytes(), file=path.name, path=path)
            except FhirError:
                continue
            if document.name == name:
                return document
    return None


def _map_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.y*ml") if path.suffix in (".yaml", ".yml"))


def _stamps(folders: Sequence[Path]) -> dict[Path, _Stamp]:
    found: dict[Path, _Stamp] = {}
    for folder in folders:
        for path in _map_files(folder):
            try:
                stat = path.stat()
            except OSError:
                # Removed between listing and looking.
                continue
            found[path] = (stat.st_mtime_ns, stat.st_size)
    return found


def _kinds(whole: Document) -> tuple[str, ...]:
    return whole.source.get("messages", ())


def _fits(whole: Document, kind: str) -> bool:
    return any(fnmatchcase(kind, pattern) for pattern in _kinds(whole))
