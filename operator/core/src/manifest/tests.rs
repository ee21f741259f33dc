use super::*;

fn settings() -> Settings {
    Settings {
        engine_image: Some("engine:1".into()),
        is_namespaced: false,
        operator_image: Some("operator:1".into()),
        operator_namespace: "memory-system".into(),
    }
}

fn judged(spec: &str) -> Vec<ManifestFinding> {
    let text = format!(
        "apiVersion: memoryengine.io/v1alpha1\nkind: MemoryEngine\nmetadata: {{name: notes}}\nspec: {spec}\n"
    );
    judge_file("a.yaml", &text, &settings()).unwrap().remove(0).findings
}

#[test]
fn what_the_cluster_would_refuse_is_an_error() {
    for (spec, rule, part) in [
        ("{writers: {}}", "Schema", "spec.writers is unknown"),
        ("{mode: Offf}", "Schema", "write one of"),
        ("{writer: {storage: {size: 1}}}", "InvalidSpec", "32Mi"),
        ("{writer: {drainSeconds: ten}}", "Schema", "of type integer"),
        ("{writer: {drainSeconds: 100000}}", "Schema", "at most"),
        ("{exposure: {public: {hosts: []}}}", "Schema", "at least 1"),
        ("{exposure: {public: {hosts: [a.example]}}}", "InvalidSpec", "exactly one"),
        ("{deploymentMode: Production}", "InvalidSpec", "spec.tls"),
        ("{mcp: {allowedHosts: [a, a]}}", "Schema", "twice"),
        ("{tls: null}", "", ""),
        ("{}", "", ""),
    ] {
        let found = judged(spec);
        match rule {
            "" => assert_eq!(found, [], "{spec}"),
            _ => {
                assert!(
                    found.iter().all(|one| one.severity == Severity::Error && one.rule == rule),
                    "{found:?}"
                );
                assert!(found.iter().any(|one| one.text.contains(part)), "{spec}: {found:?}");
            }
        }
    }
}

#[test]
fn what_would_not_be_exposed_is_said() {
    let found = judged("{exposure: {public: {hosts: [a.example], loadBalancer: {}}}}");
    let rules: Vec<&str> = found.iter().map(|one| one.rule.as_str()).collect();
    assert_eq!(rules, ["NotInProduction", "AnonymousAccess", "TlsNotReady"]);
    assert!(found.iter().all(|one| one.severity == Severity::Withheld));
}

#[test]
fn documents_have_their_lines_and_other_objects_are_skipped() {
    let text = "# a comment\n---\nkind: Secret\n---\napiVersion: v1\nkind: List\nitems:\n- apiVersion: \
                memoryengine.io/v1\n  kind: MemoryEngine\n  metadata: {name: a, namespace: b}\n";
    let found = judge_file("a.yaml", text, &settings()).unwrap();
    assert_eq!((found.len(), found[0].place.line, found[0].engine.as_str()), (1, 5, "b/a"));
    assert!(found[0].findings[0].text.contains("memoryengine.io/v1alpha1"));
    assert!(judge_file("a.yaml", "a: [", &settings()).unwrap_err().contains("a.yaml, document at line 1"));
}

#[test]
fn results_are_for_people_programs_and_tools() {
    let text =
        "apiVersion: memoryengine.io/v1alpha1\nkind: MemoryEngine\nmetadata: {name: n}\nspec: {mode: no}\n";
    let found = judge_file("a.yaml", text, &settings()).unwrap();
    assert!(render(&found, Format::Text, "1").contains("a.yaml:1: n\n  error [Schema] spec.mode"));
    let json: Value = serde_json::from_str(&render(&found, Format::Json, "1")).unwrap();
    assert_eq!(json["engines"][0]["findings"][0]["rule"], "Schema");
    let sarif: Value = serde_json::from_str(&render(&found, Format::Sarif, "1")).unwrap();
    assert_eq!(sarif["runs"][0]["results"][0]["level"], "error");
    assert_eq!(sarif["runs"][0]["tool"]["driver"]["rules"][0]["id"], "Schema");
}
