//! Callers that are no keys: service accounts of the cluster, whose API server is the issuer of their tokens.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::deploy;
use e2e::wait::until;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{ObjectMeta, PostParams};
use serde_json::{Value, json};

use crate::world::{World, in_namespace, small};

/// Audience of the engine of this test.
const AUDIENCE: &str = "memory-engine";
/// The engine fetches the keys when it starts; a token that names an unknown one makes it look again.
const KEYS_LIMIT: Duration = Duration::from_secs(60);

/// A token of a service account for an audience.
async fn token(world: &World, account: &str, audience: &str) -> Result<String> {
    let arguments = ["-n", &world.namespace, "create", "token", account, "--audience", audience];
    Ok(deploy::kubectl(&world.cluster, &arguments).await?.trim().to_owned())
}

/// The status of a request with a token.
async fn ask(world: &World, token: &str, request: &str) -> Result<String> {
    let script = format!(
        "curl -sS --max-time 20 -H 'authorization: Bearer {token}' -H 'content-type: application/json' \
         -o /dev/null -w '%{{http_code}}' {request} 2>&1 || true"
    );
    world.shell("client", "shell", &script).await
}

/// An issuer that nobody can reach is named on the resource, and the engine is ready for other callers.
#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_whose_keys_never_come_is_named_on_the_resource() {
    in_namespace("access-issuer-away", async |world| {
        let away = format!("https://id.{}.svc:8443", world.namespace);
        let mut spec = small();
        spec["access"] =
            json!({"anonymous": "Denied", "issuers": [{"issuer": away, "audiences": [AUDIENCE]}]});
        world.apply("notes", spec).await?;
        world.ready("notes").await?;
        let message = world.condition("notes", "AccessReady", "False", "IssuerWithoutKeys").await?;
        ensure!(message.contains(&away) && message.contains("never received"), "{message}");
        world.ready("notes").await?;
        world.apply("notes", small()).await?;
        world.condition("notes", "AccessReady", "True", "NoIssuers").await?;
        Ok(())
    })
    .await;
}

/// The engine fetches the keys with the token of its own service account, which may do nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn service_accounts_of_the_cluster_are_callers() {
    in_namespace("access-accounts", async |world| {
        let described = ["get", "--raw", "/.well-known/openid-configuration"];
        let described: Value = serde_json::from_str(&deploy::kubectl(&world.cluster, &described).await?)?;
        let issuer = described["issuer"].as_str().context("the cluster is an issuer")?;
        for name in ["agent", "other"] {
            let metadata = ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() };
            let account = ServiceAccount { metadata, ..ServiceAccount::default() };
            world.api().create(&PostParams::default(), &account).await?;
        }
        let mut spec = small();
        spec["access"] = json!({"anonymous": "Denied", "issuers": [{
            "issuer": issuer,
            "audiences": [AUDIENCE],
            "jwksUrl": "https://kubernetes.default.svc/openid/v1/jwks",
            "caConfigMapRef": {"name": "kube-root-ca.crt", "key": "ca.crt"},
            "serviceAccountToken": true,
            "algorithms": ["ES256", "RS256"],
            "scopes": ["Read"],
            "projects": ["p"],
            "requiredClaims": {
                "/kubernetes.io/namespace": world.namespace, "/kubernetes.io/serviceaccount/name": "agent",
            },
        }]});
        world.apply("notes", spec).await?;
        world.ready("notes").await?;
        world.shell_pod("client").await?;
        let search = "'http://notes:8080/v1/search?q=a&project=p'";
        let agent = token(world, "agent", AUDIENCE).await?;
        until("the token of the account is accepted", KEYS_LIMIT, async || {
            Ok((ask(world, &agent, search).await? == "200").then_some(()))
        })
        .await?;
        world.condition("notes", "AccessReady", "True", "IssuersKnown").await?;
        let elsewhere = "'http://notes:8080/v1/search?q=a&project=other'";
        ensure!(ask(world, &agent, elsewhere).await? == "403", "a project of others");
        let save = "-d '{\"content\": \"x\", \"project\": \"p\"}' http://notes:8080/v1/memories";
        ensure!(ask(world, &agent, save).await? == "403", "the scope of the issuer is Read");
        let other = token(world, "other", AUDIENCE).await?;
        ensure!(ask(world, &other, search).await? == "401", "another account");
        let for_others = token(world, "agent", "https://kubernetes.default.svc").await?;
        ensure!(ask(world, &for_others, search).await? == "401", "a token for the API server");
        let log = deploy::kubectl(&world.cluster, &["-n", &world.namespace, "logs", "notes-0"]).await?;
        for secret in [&agent, &other, &for_others] {
            ensure!(!log.contains(secret.as_str()), "a token in the log");
        }
        ensure!(log.contains("token_audience") && log.contains("token_claims"), "{log}");
        Ok(())
    })
    .await;
}
