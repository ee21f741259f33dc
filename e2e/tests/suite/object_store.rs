//! The object store that tests of backups use: it must behave as those tests take for granted.

use anyhow::{Result, ensure};
use e2e::object_store::{ObjectStore, StoredObject};

use crate::world::{World, in_namespace};

/// Writers that race to create one object, and how often they do.
const WRITERS: usize = 16;
const ROUNDS: usize = 5;
const CLIENT: &str = "client";

/// Requests from a pod, as engines send them. Each command prints the status of its answer.
struct Client<'a> {
    world: &'a World,
    store: &'a ObjectStore,
}

impl Client<'_> {
    /// Starts the pod, and gives it the store's authority and credentials.
    async fn start(&self) -> Result<()> {
        self.world.shell_pod(CLIENT).await?;
        let options = self.store.curl_options();
        let wrong = options.replace(self.store.secret_key(), "wrong");
        let script = format!(
            "printf '%s' '{}' > /tmp/ca.crt; printf '%s' '{options}' > /tmp/user; printf '%s' '{wrong}' > /tmp/wrong",
            self.store.ca_pem()
        );
        self.world.shell(CLIENT, "shell", &script).await.map(drop)
    }

    /// A command that sends a request.
    fn request(&self, user: &str, options: &str, path: &str) -> String {
        format!(
            "curl -s --max-time 10 --cacert /tmp/ca.crt --config /tmp/{user} -w '%{{http_code}}\\n' \
             {options} '{}/{path}'",
            self.store.endpoint()
        )
    }

    async fn run(&self, script: &str) -> Result<String> {
        Ok(self.world.shell(CLIENT, "shell", script).await?.trim().to_owned())
    }

    /// The content of an object, then the status.
    async fn read(&self, path: &str) -> Result<String> {
        self.run(&self.request("user", "", path)).await
    }
}

/// Sixteen clients write the same object at once, each with its own content. Returns the number of each client with the
/// status of its answer.
async fn write_at_once(client: &Client<'_>, path: &str, condition: &str) -> Result<Vec<(String, String)>> {
    let put = format!("-o /dev/null -X PUT {condition} --data-binary @/tmp/content$i");
    let put = client.request("user", &put, path);
    let script = format!(
        "for i in $(seq {WRITERS}); do head -c 65536 /dev/urandom > /tmp/content$i; done; \
         for i in $(seq {WRITERS}); do (echo $i $({put})) & done; wait"
    );
    let printed = client.run(&script).await?;
    let answers = printed.lines().filter_map(|line| line.split_once(' '));
    Ok(answers.map(|(writer, status)| (writer.to_owned(), status.to_owned())).collect())
}

fn winners(answers: &[(String, String)]) -> Vec<&str> {
    answers.iter().filter(|(_, status)| status == "200").map(|(writer, _)| writer.as_str()).collect()
}

/// Of those that create an object, one is accepted, all others are refused, and what the one wrote is kept.
async fn race(client: &Client<'_>, bucket: &str, round: usize) -> Result<()> {
    let path = format!("{bucket}/race/{round}");
    let answers = write_at_once(client, &path, "-H 'if-none-match: *'").await?;
    let winners = winners(&answers);
    // A request that meets another one in progress is a conflict, one that comes later fails its condition.
    let losers = answers.iter().filter(|(_, status)| ["412", "409"].contains(&status.as_str())).count();
    ensure!(winners.len() == 1 && losers == WRITERS - 1, "round {round}: {answers:?}");
    let get = client.request("user", "-o /tmp/kept", &path);
    let kept = format!("{get}; cmp /tmp/kept /tmp/content{} && echo same", winners[0]);
    let kept = client.run(&kept).await?;
    ensure!(kept == "200\nsame", "round {round}: the winner's content was not kept: {kept}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_sixteen_writers_that_create_an_object_one_wins() {
    in_namespace("object-store-race", async |world| {
        if !world.cluster.is_local() {
            println!("skipped: the object store runs on the local cluster");
            return Ok(());
        }
        let store = ObjectStore::deployed(&world.cluster).await?;
        let bucket = store.bucket("race").await?;
        let client = Client { world, store: &store };
        client.start().await?;
        for round in 0..ROUNDS {
            race(&client, &bucket, round).await?;
        }
        // Without the condition everybody wins: the store would let two writers overwrite each other.
        let answers = write_at_once(&client, &format!("{bucket}/race/0"), "").await?;
        ensure!(winners(&answers).len() == WRITERS, "{answers:?}");
        let objects = store.objects(&bucket).await?;
        ensure!(objects.len() == ROUNDS && objects.iter().all(|object| object.size == 65536), "{objects:?}");
        let denied = client.run(&client.request("wrong", "-o /dev/null", &bucket)).await?;
        ensure!(denied == "403", "a wrong secret: {denied}");
        let untrusted = format!("curl -s --max-time 10 {}/ || echo refused by $?", store.endpoint());
        let untrusted = client.run(&untrusted).await?;
        ensure!(untrusted == "refused by 60", "without its authority the store is trusted: {untrusted}");
        store.bucket("race").await?;
        ensure!(store.objects(&bucket).await?.is_empty(), "a bucket that is made again is empty");
        Ok(())
    })
    .await;
}

/// What a test does behind the store's back is what clients see, and objects outlive a stop.
#[tokio::test(flavor = "multi_thread")]
async fn an_object_is_damaged_lost_and_out_of_reach() {
    in_namespace("object-store", async |world| {
        if !world.cluster.is_local() {
            println!("skipped: the object store runs on the local cluster");
            return Ok(());
        }
        let store = ObjectStore::deployed_in(&world.cluster, &world.namespace).await?;
        let bucket = store.bucket("notes").await?;
        let client = Client { world, store: &store };
        client.start().await?;
        let path = format!("{bucket}/a/b");
        let put = client.request("user", "-o /dev/null -X PUT --data-binary one", &path);
        ensure!(client.run(&put).await? == "200", "the object is not stored");
        let objects = store.objects(&bucket).await?;
        ensure!(objects == [StoredObject { name: "a/b".to_owned(), size: 3 }], "{objects:?}");
        ensure!(client.read(&path).await? == "one200");

        store.stop().await?;
        let status = client.run(&format!("{} || true", client.request("user", "", &path))).await?;
        ensure!(status == "000", "a store that is stopped answers: {status}");
        ensure!(store.objects(&bucket).await.is_err(), "the files of a store that is stopped");
        store.start().await?;
        ensure!(client.read(&path).await? == "one200", "the object did not outlive the stop");

        store.flip_byte(&bucket, "a/b").await?;
        let damaged = client.read(&path).await?;
        ensure!(damaged == "ooe200", "{damaged}");
        store.remove(&bucket, "a/b").await?;
        ensure!(client.read(&path).await?.ends_with("404"), "the object is still there");
        Ok(())
    })
    .await;
}
