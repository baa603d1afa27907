"""What a developer typically writes: FastAPI, fhir.resources both ways, SQLAlchemy with a JSON column.

The yardstick of scripts/bench rest: Patient and Observation with create, read, one search and transactions, on SQLite
with default settings. Run: uvicorn naive_server:app; NAIVE_DB names the database file.
"""

import datetime
import json
import os
import uuid
from importlib import import_module
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from sqlalchemy import JSON, DateTime, ForeignKey, Integer, String, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

engine = create_engine(f"sqlite:///{os.environ.get('NAIVE_DB', 'naive.db')}", connect_args={"timeout": 60})


class Base(DeclarativeBase):
    pass


class Resource(Base):
    __tablename__ = "resource"
    key: Mapped[int] = mapped_column(Integer, primary_key=True)
    type: Mapped[str] = mapped_column(String, index=True)
    id: Mapped[str] = mapped_column(String, index=True)
    version: Mapped[int] = mapped_column(Integer)
    updated: Mapped[datetime.datetime] = mapped_column(DateTime)
    body: Mapped[Any] = mapped_column(JSON)
    values: Mapped[list["Value"]] = relationship(back_populates="resource")


class Value(Base):
    __tablename__ = "value"
    key: Mapped[int] = mapped_column(Integer, primary_key=True)
    resource_key: Mapped[int] = mapped_column(ForeignKey("resource.key"), index=True)
    name: Mapped[str] = mapped_column(String, index=True)
    text: Mapped[str] = mapped_column(String, index=True)
    resource: Mapped[Resource] = relationship(back_populates="values")


Base.metadata.create_all(engine)
app = FastAPI()


def model(resource_type: str) -> Any:
    return getattr(import_module(f"fhir.resources.R4B.{resource_type.lower()}"), resource_type)


def store(session: Session, body: dict[str, Any]) -> dict[str, Any]:
    checked = model(body["resourceType"]).model_validate(body)
    tree = json.loads(checked.model_dump_json())
    tree["id"] = body.get("id") or uuid.uuid4().hex
    now = datetime.datetime.now(datetime.UTC)
    tree["meta"] = {"versionId": "1", "lastUpdated": now.isoformat()}
    row = Resource(type=tree["resourceType"], id=tree["id"], version=1, updated=now, body=tree)
    if "subject" in tree:
        row.values.append(Value(name="subject", text=tree["subject"]["reference"]))
    for coding in tree.get("code", {}).get("coding", []):
        row.values.append(Value(name="code", text=f"{coding.get('system')}|{coding['code']}"))
    if "effectiveDateTime" in tree:
        row.values.append(Value(name="date", text=tree["effectiveDateTime"]))
    session.add(row)
    return tree


@app.post("/fhir/{resource_type}", status_code=201)
def create(resource_type: str, body: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG001  # the body says it too
    with Session(engine) as session:
        tree = store(session, body)
        session.commit()
    return tree


@app.get("/fhir/{resource_type}/{id}")
def read(resource_type: str, id: str) -> Any:
    with Session(engine) as session:
        row = session.scalars(
            select(Resource).where(Resource.type == resource_type, Resource.id == id)
        ).first()
        if row is None:
            raise HTTPException(404)
        return model(resource_type).model_validate(row.body).model_dump(mode="json")


@app.get("/fhir/{resource_type}")
def search(resource_type: str, request: Request) -> Any:
    with Session(engine) as session:
        query = select(Resource).where(Resource.type == resource_type)
        for name, text in request.query_params.multi_items():
            if name == "date":
                operator, limit = text[:2], text[2:]
                bound = Value.text >= limit if operator == "ge" else Value.text < limit
                query = query.where(Resource.values.any((Value.name == "date") & bound))
            elif name in ("code", "subject"):
                query = query.where(Resource.values.any((Value.name == name) & (Value.text == text)))
        rows = session.scalars(query.limit(20)).all()
        kind = model(resource_type)
        entries = [{"resource": kind.model_validate(row.body).model_dump(mode="json")} for row in rows]
        return {"resourceType": "Bundle", "type": "searchset", "entry": entries}


@app.post("/fhir")
def transaction(body: dict[str, Any]) -> Any:
    bundle = json.loads(model("Bundle").model_validate(body).model_dump_json())
    ids = {
        entry["fullUrl"]: f"{entry['resource']['resourceType']}/{uuid.uuid4().hex}"
        for entry in bundle["entry"]
    }
    text = json.dumps(bundle)
    for url, reference in ids.items():
        text = text.replace(f'"reference": "{url}"', f'"reference": "{reference}"')
    with Session(engine) as session:
        trees = []
        for entry in json.loads(text)["entry"]:
            entry["resource"]["id"] = ids[entry["fullUrl"]].partition("/")[2]
            trees.append(store(session, entry["resource"]))
        session.commit()
    return {
        "resourceType": "Bundle",
        "type": "transaction-response",
        "entry": [{"resource": tree, "response": {"status": "201"}} for tree in trees],
    }
