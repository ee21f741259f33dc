//! The memory settings of a MemoryEngine apply to all clients of its engine.

use anyhow::{Context as _, Result, ensure};
use e2e::deploy;
use e2e::memories::{Memories, memory};
use e2e::wait::until;
use engine_core::wire::{ForgetAnswer, ForgetMemories, SearchAnswer, SearchMode};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::input::checked;
use crate::world::{SOON, World, in_namespace, refusal, small};

/// A key that was never issued. It is split in two: a complete key would trigger secret scanners on this repository.
const KEY: &str = concat!("AKI", "AQWERTY234567ABCD");
const REVIEWED_KEY: &str = concat!("AKI", "AREVIEWED2345672");
/// An address that was reviewed and is listed as an exception.
const ADDRESS: &str = "help-desk-4711@example.org";
/// Name of a pod that calls the engine as agents do.
const AGENT: &str = "agent";

fn exception(detector: &str, what: &Value) -> Value {
    let mut exception = json!({"detector": detector, "reason": "a test", "reviewer": "platform team"});
    for (key, value) in what.as_object().into_iter().flatten() {
        exception[key] = value.clone();
    }
    exception
}

fn hashed(text: &str) -> Value {
    let digest: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
    json!({"sha256": digest, "expires": "2999-01-01T00:00:00+01:00"})
}

/// A spec with every section. Values are at the schema's limits unless a test needs another value: the engine starts
/// with all values that the schema accepts.
fn sections() -> Value {
    let mut hosts: Vec<String> = (0..61).map(|n| format!("host-{n}.example.org")).collect();
    hosts.extend(["memory.example.org", "a_b.example.org:65535", "[fd00::1]:1"].map(str::to_owned));
    let mut spec = small();
    spec["policy"] = json!({
        "block": ["aws-access-key-id", "password-assignment"],
        "exceptions": [
            exception("aws-access-key-id", &hashed(REVIEWED_KEY)),
            exception("email", &json!({"value": ADDRESS})),
        ],
    });
    spec["retention"] = json!({
        "maxAgeDays": 36_500, "maxEntriesPerProject": 1_000_000_000, "spikeGuardPercent": 100,
    });
    spec["embedding"] = json!({"provider": "builtin"});
    spec["mcp"] = json!({
        "allowedHosts": hosts, "serverMemoryTools": true, "serverMemoryProject": "n".repeat(64),
    });
    spec["limits"] =
        json!({"requestsPerSecond": 1_000_000, "burst": 1_000_000, "connectionsPerAddress": 512});
    spec
}

/// Policy, search, MCP and forgetting work as the resource configures them, and again after an edit of the resource.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_resource_says_of_memories_holds() {
    in_namespace("memory-api", async |world| {
        world.apply("notes", sections()).await?;
        world.shell_pod(AGENT).await?;
        world.ready("notes").await?;
        let memories = world.memories("notes");
        secrets_are_refused_and_personal_data_is_redacted(&memories).await?;
        searches_find_by_words_and_by_meaning(&memories).await?;
        agents_talk_to_the_engine_under_its_names(world).await?;
        a_plan_follows_the_rules_of_the_resource(&memories).await?;
        what_is_forgotten_is_gone(&memories).await?;
        the_text_of_an_exception_is_nowhere_else(world).await?;
        an_edited_spec_holds_in_another_pod(world).await
    })
    .await;
}

/// Returns the error code of a refused save; empty if the save was accepted.
async fn refused_with(memories: &Memories, content: &str) -> Result<String> {
    let answer = memories.send("POST", "/v1/memories", None, serde_json::to_vec(&memory(content))?).await?;
    let body: Value = serde_json::from_str(&answer.body).with_context(|| answer.body.clone())?;
    Ok(body["error"]["code"].as_str().unwrap_or_default().to_owned())
}

async fn stored(memories: &Memories, content: &str) -> Result<String> {
    let id = memories.save(content, None).await?.id;
    Ok(memories.read(&id).await?.content)
}

async fn secrets_are_refused_and_personal_data_is_redacted(memories: &Memories) -> Result<()> {
    let with_key = format!("the bucket opens with {KEY}");
    let code = refused_with(memories, &with_key).await?;
    ensure!(code == "POLICY_BLOCKED", "{code}");
    let reviewed = format!("the test account is {REVIEWED_KEY}");
    ensure!(stored(memories, &reviewed).await? == reviewed, "the exception by hash does not hold");
    let personal = format!("Ask anna.lind@example.net or {ADDRESS}, or call +49 30 90182015.");
    let redacted = format!("Ask [EMAIL] or {ADDRESS}, or call [PHONE].");
    let found = stored(memories, &personal).await?;
    ensure!(found == redacted, "{found}");
    Ok(())
}

/// Returns the id of the first memory for a query in the engine's default mode.
async fn best(memories: &Memories, query: &str) -> Result<Option<String>> {
    let path = format!("/v1/search?q={}", query.replace(' ', "+"));
    let answer: SearchAnswer = memories.get(&path).await?;
    ensure!(answer.mode == SearchMode::Hybrid, "{answer:?}");
    Ok(answer.items.into_iter().next().map(|hit| hit.id))
}

async fn searches_find_by_words_and_by_meaning(memories: &Memories) -> Result<()> {
    let doctor = memories.save("Our physician moved the appointment to Tuesday.", None).await?.id;
    let garden = memories.save("Tomatoes grow behind the greenhouse.", None).await?.id;
    memories.save("The invoice for the printer is not paid.", None).await?;
    for (query, id) in [("tomatoes greenhouse", &garden), ("when do we see a doctor", &doctor)] {
        // The engine loads the vectors of a project at the project's first search, so the first results may lack them.
        until(&format!("{query:?} finds its memory first"), SOON, async || {
            Ok((best(memories, query).await?.as_ref() == Some(id)).then_some(()))
        })
        .await?;
    }
    Ok(())
}

/// Sends one message to `/mcp` from another pod. `host` is a header that replaces the Service's name as host. Returns
/// status and body of the response.
async fn message(world: &World, host: Option<&str>, method: &str, params: &Value) -> Result<(u16, Value)> {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
    let url = format!("http://notes.{}.svc:8080/mcp", world.namespace);
    let headers = [
        "Content-Type: application/json",
        "Accept: application/json, text/event-stream",
        "MCP-Protocol-Version: 2025-11-25",
    ];
    let mut command = vec!["curl", "-sS", "--max-time", "5", "-w", "\n%{http_code}", "-d", &body];
    for header in headers.into_iter().chain(host) {
        command.extend(["-H", header]);
    }
    command.push(&url);
    let output = world.exec(AGENT, "shell", &command).await?;
    let (answer, status) = output.rsplit_once('\n').context("a status")?;
    Ok((status.parse()?, serde_json::from_str(answer).unwrap_or(Value::Null)))
}

/// Sends a message that must be accepted; returns its result.
async fn result(world: &World, method: &str, params: &Value) -> Result<Value> {
    let (status, mut answer) = message(world, None, method, params).await?;
    ensure!(status == 200 && answer["error"].is_null(), "{method}: {status} {answer}");
    Ok(answer["result"].take())
}

async fn agents_talk_to_the_engine_under_its_names(world: &World) -> Result<()> {
    let hello = json!({
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"},
    });
    let about = result(world, "initialize", &hello).await?;
    ensure!(about["protocolVersion"] == "2025-11-25", "{about}");
    let listed = result(world, "tools/list", &json!({})).await?;
    let tools: Vec<&str> =
        listed["tools"].as_array().into_iter().flatten().filter_map(|tool| tool["name"].as_str()).collect();
    for tool in ["memory_search", "create_entities", "read_graph"] {
        ensure!(tools.contains(&tool), "no {tool} among {tools:?}");
    }
    let search = json!({"name": "memory_search", "arguments": {"query": "tomatoes greenhouse"}});
    let found = result(world, "tools/call", &search).await?;
    let text = found["content"][0]["text"].as_str();
    ensure!(text.is_some_and(|text| text.contains("Tomatoes")), "{found}");

    let (allowed, _) = message(world, Some("Host: memory.example.org"), "initialize", &hello).await?;
    let (foreign, _) = message(world, Some("Host: evil.example.org"), "initialize", &hello).await?;
    ensure!((allowed, foreign) == (200, 403), "an allowed name {allowed}, another {foreign}");
    Ok(())
}

/// A request for a plan without rules gets a plan by the rules of the resource, and no memory is forgotten.
async fn a_plan_follows_the_rules_of_the_resource(memories: &Memories) -> Result<()> {
    let plan: Value = memories.post("/v1/retention/plan", None, &json!({})).await?;
    let rules = &plan["rules"];
    ensure!(rules["max_age_days"] == 36_500 && rules["max_entries_per_project"] == 1_000_000_000, "{plan}");
    ensure!(plan["memories"] == 0, "{plan}");
    Ok(())
}

async fn what_is_forgotten_is_gone(memories: &Memories) -> Result<()> {
    let id = memories.save("The umbrella is in the cellar.", None).await?.id;
    ensure!(memories.search("umbrella").await?.items.len() == 1, "it is not found before");
    let forget = ForgetMemories {
        ids: Some(vec![id.clone()]),
        project: None,
        session: None,
        source: None,
        reason: "it is lost".to_owned(),
        dry_run: false,
        actor: None,
    };
    let answer: ForgetAnswer = memories.post("/v1/forget", None, &forget).await?;
    ensure!((answer.memories, answer.ids) == (1, vec![id.clone()]), "{:?}", answer.places);
    let read = memories.send("GET", &format!("/v1/memories/{id}"), None, Vec::new()).await?;
    ensure!(read.status == 404, "{read:?}");
    ensure!(memories.search("umbrella").await?.items.is_empty(), "it is found afterwards");
    let first = best(memories, "umbrella cellar").await?;
    ensure!(first.as_ref() != Some(&id), "it is found by meaning afterwards");
    Ok(())
}

/// A user who may read the objects around a resource, but not the resource itself, cannot learn the text of its
/// exceptions.
async fn the_text_of_an_exception_is_nowhere_else(world: &World) -> Result<()> {
    let namespace = world.namespace.as_str();
    let config = world.api::<ConfigMap>().get("notes-config").await?.data.unwrap_or_default();
    ensure!(config["config.yaml"].contains("reviewer: platform team"), "{config:?}");
    let resource = deploy::kubectl(&world.cluster, &["-n", namespace, "get", "meng", "-o", "yaml"]).await?;
    ensure!(resource.contains(ADDRESS), "a control: {resource}");
    let children = ["-n", namespace, "get", "configmaps,statefulsets,pods,events", "-o", "yaml"];
    let status = ["-n", namespace, "get", "meng", "-o", "jsonpath={.items[*].status}"];
    let operator = ["-n", deploy::OPERATOR_NAMESPACE, "logs", "deploy/memory-operator", "--tail=-1"];
    let engine = ["-n", namespace, "logs", "notes-0"];
    for args in [&children[..], &status, &operator, &engine] {
        let text = deploy::kubectl(&world.cluster, args).await?;
        ensure!(!text.is_empty() && !text.contains(ADDRESS), "kubectl {}", args.join(" "));
    }
    Ok(())
}

async fn an_edited_spec_holds_in_another_pod(world: &World) -> Result<()> {
    let uid = world.pod_uid("notes").await?;
    let mut spec = small();
    spec["policy"] = json!({"block": ["github-token"], "redact": ["email"]});
    spec["limits"] = json!({"requestsPerSecond": 1, "burst": 10});
    world.apply("notes", spec).await?;
    world.ready("notes").await?;
    ensure!(world.pod_uid("notes").await? != uid, "the pod is the old one");
    let memories = world.memories("notes");
    let with_key = format!("{KEY} belongs to {ADDRESS}, telephone +49 30 90182015");
    let expected = format!("{KEY} belongs to [EMAIL], telephone +49 30 90182015");
    let found = stored(&memories, &with_key).await?;
    ensure!(found == expected, "{found}");
    until("one address exceeds its rate", SOON, async || {
        let answer = memories.send("GET", "/v1/log/head", None, Vec::new()).await?;
        Ok((answer.status == 429 && answer.body.contains("RATE_LIMITED")).then_some(()))
    })
    .await
}

/// A service with a key.
fn service(url: &str) -> Value {
    json!({"url": url, "model": "small", "keySecretRef": {"name": "models", "key": "api-key"}})
}

/// Sections that the API server refuses, each with a part of the message.
fn refused() -> Vec<(Value, &'static str)> {
    let both = exception("email", &json!({"value": ADDRESS, "sha256": "0".repeat(64)}));
    let late = exception("email", &json!({"value": ADDRESS, "expires": "soon"}));
    let long = exception("email", &json!({"value": ADDRESS.repeat(50)}));
    let hosts: Vec<String> = (0..65).map(|n| format!("host-{n}")).collect();
    vec![
        (json!({"policy": {"exceptions": [both]}}), "either sha256 or value"),
        (json!({"policy": {"exceptions": [exception("email", &json!({}))]}}), "either sha256 or value"),
        (json!({"policy": {"exceptions": [late]}}), "spec.policy.exceptions[0].expires"),
        (json!({"policy": {"exceptions": [long]}}), "spec.policy.exceptions[0].value"),
        (json!({"policy": {"exceptions": [{"detector": "email", "value": ADDRESS}]}}), "reviewer"),
        (json!({"policy": {"block": ["a detector"]}}), "spec.policy.block[0]"),
        (json!({"policy": {"block": ["jwt", "jwt"]}}), "spec.policy.block[1]"),
        (json!({"policy": {"blok": ["jwt"]}}), "unknown field \"spec.policy.blok\""),
        (json!({"retention": {"maxAgeDays": 0}}), "spec.retention.maxAgeDays"),
        (json!({"retention": {"spikeGuardPercent": 101}}), "spec.retention.spikeGuardPercent"),
        (json!({"embedding": {"provider": "remote"}}), "\"builtin\", \"hashing\", \"none\", \"http\""),
        (json!({"embedding": {"provider": "http"}}), "http goes with provider: http"),
        (json!({"embedding": {"http": service("https://a.example/")}}), "http goes with provider: http"),
        (
            json!({"embedding": {"provider": "http", "http": service("http://a.example/")}}),
            "url must be https://",
        ),
        (json!({"rerank": service("http://a.example/")}), "url must be https://"),
        (json!({"rerank": service("https://user:password@a.example/")}), "spec.rerank.url"),
        (json!({"mcp": {"allowedHosts": hosts}}), "spec.mcp.allowedHosts"),
        (json!({"mcp": {"allowedHosts": ["http://a.example"]}}), "spec.mcp.allowedHosts[0]"),
        (json!({"mcp": {"serverMemoryProject": "house"}}), "serverMemoryProject needs serverMemoryTools"),
        (json!({"limits": {"burst": 5}}), "burst needs requestsPerSecond"),
        (json!({"limits": {"connectionsPerAddress": 513}}), "spec.limits.connectionsPerAddress"),
    ]
}

/// The API server refuses what the schema can detect, with a remedy. Faults that only the engine's tables can detect
/// become a condition. Neither message repeats the text of an exception.
#[tokio::test(flavor = "multi_thread")]
async fn sections_that_mean_nothing_are_refused_or_said() {
    in_namespace("memory-specs", async |world| {
        checked(world, "notes", &json!({"spec": sections()})).await.context("a control")?;
        for (section, says) in refused() {
            let shown = section.to_string();
            let message = refusal(checked(world, "notes", &json!({"spec": section})).await)
                .with_context(|| shown.clone())?;
            ensure!(message.contains(says), "{shown}: the refusal does not contain `{says}`: {message}");
            ensure!(!message.contains(ADDRESS), "{shown}: the refusal repeats the text: {message}");
        }
        let mut spec = small();
        let unknown = exception("mail", &json!({"value": ADDRESS}));
        spec["policy"] = json!({"block": ["github"], "exceptions": [unknown]});
        world.apply("notes", spec).await?;
        let message = world.condition("notes", "Stalled", "True", "InvalidSpec").await?;
        for says in
            ["spec.policy.block names \"github\"", "spec.policy.exceptions[0].detector names \"mail\""]
        {
            ensure!(message.contains(says), "the message does not contain `{says}`: {message}");
        }
        ensure!(!message.contains(ADDRESS), "{message}");
        world.condition("notes", "Ready", "False", "InvalidSpec").await?;
        Ok(())
    })
    .await;
}

/// An engine does not start with a key that it cannot read, or that other users can read. That it becomes ready shows
/// that the key is mounted with the right mode and group.
#[tokio::test(flavor = "multi_thread")]
async fn the_key_of_a_service_reaches_the_engine() {
    in_namespace("service-key", async |world| {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "models", "namespace": "t-service-key"},
            "stringData": {"api-key": KEY},
        });
        deploy::apply(&world.cluster, &secret.to_string()).await?;
        let mut spec = small();
        let url = "https://models.invalid:8443/v1/embeddings";
        spec["embedding"] = json!({"provider": "http", "http": service(url)});
        world.apply("notes", spec).await?;
        world.ready("notes").await?;
        world.condition("notes", "ConfigurationApplied", "True", "ConfigurationInEffect").await?;
        let show = ["/usr/bin/memory-engine", "config", "show", "--config", "/etc/memory-engine/config.yaml"];
        let shown = world.exec("notes-0", "engine", &show).await?;
        let line = "embedding.apiKeyFile = \"/run/memory-engine/embedding-key/key\"  # file";
        ensure!(shown.contains(line) && !shown.contains(KEY), "{shown}");
        let policy = world.api::<NetworkPolicy>().get("notes").await?;
        let egress = json!(policy.spec.and_then(|spec| spec.egress));
        ensure!(egress[1] == json!({"ports": [{"port": 8443, "protocol": "TCP"}]}), "{egress}");
        Ok(())
    })
    .await;
}
