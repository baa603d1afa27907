"""`hutong map new ADAPTER`: a map to begin with, its test, its sample and its page."""

import os
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.map import Maps, golden, test_one
from gateway.cli.serve import AsJson, Config
from gateway.cli.speech import print_json, say, styled
from gateway.settings import load_settings
from mappings.skeleton import FORMATS, NAME, guess_format, skeleton
from terminology.issues import BusinessRule, InvalidInput
from terminology.translate import Translator

Adapter = Annotated[
    str, typer.Argument(help=say("新映射的名称，例如 lis-h1。", "Name of the new map, such as lis-h1."))
]
Format = Annotated[
    str, typer.Option("--format", help=say("格式：", "Format: ") + ", ".join(dict.fromkeys(FORMATS.values())))
]


def new(
    adapter: Adapter, format: Format = "", maps: Maps = None, config: Config = None, as_json: AsJson = False
) -> None:
    settings = load_settings(os.environ, file=config, maps=maps)
    chosen = format or guess_format(adapter) or "hl7v2"
    # The bare name of a format is no name of a map: `hutong map new json` begins my-json.
    name = f"my-{adapter}" if adapter in FORMATS else adapter
    if chosen not in FORMATS or not NAME.fullmatch(name):
        raise InvalidInput(
            "HT-CLI-31", name=chosen if chosen not in FORMATS else name, known=", ".join(FORMATS)
        )
    folder = settings.maps or Path("maps")
    made = skeleton(name, chosen)
    path, page, samples = folder / f"{name}.yaml", folder / "docs" / f"{name}.md", folder / "tests" / name
    for place in (path, page):
        if place.exists():
            raise BusinessRule("HT-CLI-30", path=place)
    samples.mkdir(parents=True, exist_ok=True)
    page.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(made.map, "utf-8")
    page.write_text(made.page, "utf-8")
    written = [path, page]
    if made.sample is not None:
        sample = samples / made.sample[0]
        sample.write_bytes(made.sample[1])
        expected = sample.with_suffix(".expected.json")
        expected.write_bytes(golden(sample, folder, name))
        written += [sample, expected]
    row = test_one(path, Translator(), update=False)
    if as_json:
        print_json(
            {
                "map": name,
                "format": made.format,
                "files": [str(place) for place in written],
                "problems": row["problems"],
            }
        )
        return
    for place in written:
        print(f"{styled('+', 'green')} {place}")
    for text in row["problems"]:
        print(f"    {text}")
    shown = f" --maps {folder}"
    print(
        say(
            f"{row['tests']} 个测试通过。下一步：\n"
            f"  1. 改 {path}：来源、字段、对照表\n"
            f"  2. 把真实样例（去标识）放进 {samples}/，运行 hutong map test {folder} --update\n"
            f"  3. hutong map run 样例 --adapter {name}{shown} --explain 看每个值来自哪里\n"
            f"  4. hutong map coverage {samples}/* --adapter {name}{shown} 看哪些字段没有读\n"
            f"  5. 设置 maps={folder} 后即生效",
            f"{row['tests']} tests pass. Next:\n"
            f"  1. change {path}: source, fields, tables\n"
            f"  2. put real samples (without real patients) into {samples}/ and run hutong map test {folder} --update\n"
            f"  3. hutong map run SAMPLE --adapter {name}{shown} --explain shows where each value comes from\n"
            f"  4. hutong map coverage {samples}/* --adapter {name}{shown} shows which fields no line reads\n"
            f"  5. set maps={folder} to use it",
        )
    )
