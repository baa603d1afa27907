// fhir-kit-client (npm) against a live server: capabilities, create, read, search, page, conditional forms, patch,
// history, transaction, delete. The first argument is the FHIR base.
import assert from "node:assert/strict";
import { Client } from "fhir-kit-client";

const client = new Client({ baseUrl: process.argv[2] });
const statement = await client.capabilityStatement();
assert.equal(statement.fhirVersion, "4.0.1");

const made = await client.create({ resourceType: "Patient", body: { resourceType: "Patient", name: [{ text: "张三" }], gender: "male" } });
assert.ok(made.id);
assert.equal((await client.read({ resourceType: "Patient", id: made.id })).name[0].text, "张三");
const updated = await client.update({ resourceType: "Patient", id: made.id, body: { ...made, active: true } });
assert.equal(updated.meta.versionId, "2");
assert.equal((await client.vread({ resourceType: "Patient", id: made.id, version: "1" })).active, undefined);
const patched = await client.patch({ resourceType: "Patient", id: made.id, jsonPatch: [{ op: "replace", path: "/gender", value: "other" }] });
assert.equal(patched.gender, "other");
assert.equal((await client.history({ resourceType: "Patient", id: made.id })).total, 3);

const twin = { resourceType: "Patient", identifier: [{ system: "urn:n", value: "1" }] };
const first = await client.create({ resourceType: "Patient", body: twin, options: { headers: { "If-None-Exist": "identifier=urn:n|1" } } });
const second = await client.create({ resourceType: "Patient", body: twin, options: { headers: { "If-None-Exist": "identifier=urn:n|1" } } });
assert.equal(first.id, second.id);
const conditional = await client.update({ resourceType: "Patient", searchParams: { identifier: "urn:n|1" }, body: { ...twin, active: true } });
assert.equal(conditional.id, first.id);

for (let n = 0; n < 25; n += 1) await client.create({ resourceType: "Basic", body: { resourceType: "Basic", code: { text: `b${n}` } } });
let page = await client.search({ resourceType: "Basic", searchParams: { _count: 10 } });
const ids = new Set();
while (page) {
  page.entry.forEach((entry) => ids.add(entry.resource.id));
  page = await client.nextPage({ bundle: page });
}
assert.equal(ids.size, 25);
assert.equal((await client.search({ resourceType: "Patient", searchParams: { name: "张三" }, options: { postSearch: true } })).total, 1);

const bundle = { resourceType: "Bundle", type: "transaction", entry: [
  { fullUrl: "urn:uuid:1", resource: { resourceType: "Patient" }, request: { method: "POST", url: "Patient" } },
  { resource: { resourceType: "Condition", subject: { reference: "urn:uuid:1" } }, request: { method: "POST", url: "Condition" } },
] };
const answer = await client.transaction({ body: bundle });
assert.match(answer.entry[1].resource.subject.reference, /^Patient\//);
assert.equal((await client.batch({ body: { ...bundle, type: "batch", entry: [{ request: { method: "GET", url: `Patient/${made.id}` } }] } })).entry[0].resource.id, made.id);
assert.equal((await client.operation({ name: "everything", resourceType: "Patient", id: made.id, method: "GET" })).total, 1);
await client.delete({ resourceType: "Patient", id: made.id });
await assert.rejects(client.read({ resourceType: "Patient", id: made.id }), (error) => error.response.status === 410);
console.log("fhir-kit-client: all passed");
