//! Rotations in a simulated world: a pod that gets its files late, an operator that ends after any write, and somebody
//! who replaces the authority.

use engine_core::{certificate::Certificate, digest::Hash, wire::PortCertificate};
use jiff::{SignedDuration, Timestamp};

use super::*;

const LIFETIME: SignedDuration = SignedDuration::from_hours(24);
/// Random courses of each test.
const SEEDS: u64 = 200;
const NAME: &str = "notes.team.svc";

fn certificate(id: u64, now: Timestamp, lifetime: SignedDuration) -> Certificate {
    Certificate {
        serial: format!("{id:x}"),
        sha256: Hash::of(&id.to_be_bytes()),
        not_before: now - BACKDATED,
        not_after: now + lifetime,
        uris: Vec::new(),
        dns_names: vec![NAME.to_owned()],
        is_authority: false,
        key_sha256: Hash::of(&id.to_le_bytes()),
    }
}

/// The content of the Secret that the pod mounts.
#[derive(Clone)]
struct Mounted {
    certificate: Certificate,
    /// Id of the authority that signed it.
    signer: u64,
    authorities: Vec<u64>,
}

struct World {
    now: Timestamp,
    next: u64,
    /// The authority that signs, those that are retired, and whether the key of the newest retired one is kept.
    authority: Option<(u64, Certificate, Vec<u64>, bool)>,
    secret: Option<Mounted>,
    /// What the pod has in force.
    pod: Option<Mounted>,
    random: u64,
}

fn bundle(ids: &[u64]) -> Hash {
    Hash::of(format!("{ids:?}").as_bytes())
}

impl World {
    fn new(seed: u64) -> World {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        World { now, next: 1, authority: None, secret: None, pod: None, random: seed * 2 + 1 }
    }

    fn chance(&mut self, one_in: u64) -> bool {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33).is_multiple_of(one_in)
    }

    fn trusted(&self) -> Vec<u64> {
        let Some((signing, _, retired, _)) = &self.authority else { return Vec::new() };
        [&[*signing], retired.as_slice()].concat()
    }

    fn view(&self) -> TlsView {
        let authority = self.authority.as_ref().map(|(_, signing, retired, _)| AuthorityView {
            signing: signing.clone(),
            retired: retired.iter().map(|id| certificate(*id, self.now, LIFETIME)).collect(),
            bundle_sha256: bundle(&self.trusted()),
        });
        let signing = self.authority.as_ref().map(|(id, ..)| *id);
        let mounted = self.secret.as_ref().map(|mounted| CertificateView {
            bundle: String::new(),
            certificate: mounted.certificate.clone(),
            is_of_signing: Some(mounted.signer) == signing,
            bundle_sha256: bundle(&mounted.authorities),
            authorities: mounted.authorities.iter().map(|id| Hash::of(&id.to_be_bytes())).collect(),
        });
        TlsView {
            unread: None,
            authority: authority.map_or(Found::Missing, Found::Present),
            certificate: mounted.map_or(Found::Missing, Found::Present),
        }
    }

    fn decide(&self, before: Option<Timestamp>) -> Decision {
        let served = self.pod.as_ref().map(|pod| PortCertificate {
            serial: pod.certificate.serial.clone(),
            sha256: pod.certificate.sha256.to_string(),
            not_after: pod.certificate.not_after,
            authorities_sha256: Some(bundle(&pod.authorities).to_string()),
            fault: None,
        });
        let wanted =
            Wanted { names: vec![NAME.to_owned()], authority_not_before: before, jitter_per_mille: 500 };
        decide(&self.view(), served.as_ref(), &wanted, self.now)
    }

    fn carry_out(&mut self, issuance: Issuance) {
        self.next += 1;
        let (id, now) = (self.next, self.now);
        match issuance {
            Issuance::Authority => {
                let signing = certificate(id, now, LIFETIME * AUTHORITY_LIFETIMES);
                let trusted = self.secret.as_ref().map(|mounted| mounted.authorities.clone());
                self.authority = Some((id, signing, trusted.unwrap_or_default(), false));
            }
            Issuance::NewAuthority => {
                let (before, ..) = self.authority.take().unwrap();
                let signing = certificate(id, now, LIFETIME * AUTHORITY_LIFETIMES);
                self.authority = Some((id, signing, vec![before], true));
            }
            Issuance::KeepTrusted => {
                let trusted = self.secret.as_ref().unwrap().authorities.clone();
                let authority = self.authority.as_mut().unwrap();
                (authority.2, authority.3) = (trusted, false);
            }
            Issuance::Retire => {
                let authority = self.authority.as_mut().unwrap();
                (authority.2, authority.3) = (Vec::new(), false);
            }
            Issuance::Certificate => {
                let signer = self.authority.as_ref().unwrap().0;
                let certificate = certificate(id, now, LIFETIME);
                self.secret = Some(Mounted { certificate, signer, authorities: self.trusted() });
            }
            Issuance::Authorities => self.secret.as_mut().unwrap().authorities = self.trusted(),
        }
    }

    /// A reconcile. The operator may end after each write; the next one begins anew.
    fn reconcile(&mut self, before: Option<Timestamp>) -> bool {
        let decision = self.decide(before);
        for (issuance, _) in &decision.issue {
            self.carry_out(*issuance);
            self.check();
            if self.chance(3) {
                break;
            }
        }
        !decision.issue.is_empty()
    }

    /// What holds after every write.
    fn check(&self) {
        let (Some(pod), Some(secret)) = (&self.pod, &self.secret) else { return };
        // A client has the authorities of the Secret, of now or of the moment when the pod got its files.
        assert!(secret.authorities.contains(&pod.signer), "clients trust what the pod serves");
        assert!(pod.authorities.contains(&secret.signer), "clients from before trust what is issued");
        let Some((signing, _, retired, has_retired_key)) = &self.authority else { return };
        if *has_retired_key {
            assert!(pod.authorities.contains(&retired[0]), "the pod trusts the operator");
        } else if retired.is_empty() {
            assert!(pod.authorities.contains(signing), "the pod trusts the operator");
        }
    }

    fn live(&mut self, minutes: i64, before: Option<Timestamp>) {
        for _ in 0..minutes {
            self.now += SignedDuration::from_mins(1);
            if self.chance(2) {
                self.reconcile(before);
            }
            if self.chance(2) {
                self.pod = self.secret.clone();
            }
            self.check();
        }
    }

    fn assert_settled(&mut self, seed: u64) {
        self.live(60, None);
        self.pod = self.secret.clone();
        let decision = self.decide(None);
        assert_eq!(
            (decision.phase, decision.issue.len()),
            (RotationPhase::Done, 0),
            "seed {seed}: {decision:?}"
        );
        assert_eq!(self.trusted().len(), 1, "seed {seed}: there is one authority");
    }
}

#[test]
fn every_rotation_ends_with_one_authority_and_breaks_no_trust() {
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        world.live(20, None);
        world.assert_settled(seed);
        let first = world.trusted();
        // A person asks for a new authority.
        let moment = world.now;
        world.live(60, Some(moment));
        world.assert_settled(seed);
        assert_ne!(world.trusted(), first, "seed {seed}: it is a new one");
        // Time passes: certificates and authorities are renewed by themselves.
        let serial = world.secret.as_ref().unwrap().certificate.serial.clone();
        world.live(24 * 60 * 3 / 2, None);
        assert_ne!(world.secret.as_ref().unwrap().certificate.serial, serial, "seed {seed}: it is renewed");
    }
}

#[test]
fn an_authority_that_somebody_replaces_is_introduced_like_any_other() {
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        world.live(20, None);
        world.assert_settled(seed);
        world.next += 1;
        let (id, now) = (world.next, world.now);
        world.authority = Some((id, certificate(id, now, LIFETIME * AUTHORITY_LIFETIMES), Vec::new(), false));
        let old = world.secret.as_ref().unwrap().signer;
        world.reconcile(None);
        world.reconcile(None);
        world.reconcile(None);
        assert!(world.trusted().contains(&old), "seed {seed}: both are trusted");
        world.live(60, None);
        world.assert_settled(seed);
        assert_eq!(world.trusted(), [id], "seed {seed}");
    }
}

/// Whoever deletes the authority must not cut off the clients of the one before.
#[test]
fn an_authority_that_somebody_deletes_is_replaced_like_any_other() {
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        world.live(20, None);
        world.assert_settled(seed);
        let old = world.trusted();
        world.authority = None;
        world.live(60, None);
        world.assert_settled(seed);
        assert_ne!(world.trusted(), old, "seed {seed}: it is a new one");
    }
}

#[test]
fn what_is_missing_broken_or_over_is_issued_again() {
    let mut world = World::new(7);
    assert_eq!(world.decide(None).issue.len(), 2, "an authority and a certificate");
    while world.reconcile(None) {}
    world.pod = world.secret.clone();
    let view = world.view();
    let wanted = Wanted { names: vec![NAME.to_owned()], authority_not_before: None, jitter_per_mille: 0 };
    let issue = |view: &TlsView, wanted: &Wanted, now| {
        let decision = decide(view, None, wanted, now);
        decision.issue.into_iter().map(|(issuance, _)| issuance).collect::<Vec<_>>()
    };
    assert_eq!(issue(&view, &wanted, world.now), []);
    let unread = Some(Unread { is_forbidden: true, text: String::new() });
    assert_eq!(issue(&TlsView { unread, ..TlsView::default() }, &wanted, world.now), []);
    let broken = TlsView { certificate: Found::Broken("x".to_owned()), ..view.clone() };
    assert_eq!(issue(&broken, &wanted, world.now), [Issuance::Certificate]);
    let broken = TlsView { authority: Found::Broken("x".to_owned()), ..view.clone() };
    assert_eq!(issue(&broken, &wanted, world.now), [Issuance::Authority], "what is served stays trusted");
    let nothing = TlsView { certificate: Found::Missing, ..broken };
    assert_eq!(issue(&nothing, &wanted, world.now), [Issuance::Authority, Issuance::Certificate]);
    let renamed = Wanted { names: vec!["other.team.svc".to_owned()], ..wanted.clone() };
    assert_eq!(issue(&view, &renamed, world.now), [Issuance::Certificate]);
    let third = SignedDuration::from_hours(8);
    assert_eq!(issue(&view, &wanted, world.now + third), [], "a third of the lifetime");
    assert_eq!(issue(&view, &wanted, world.now + third * 2), [Issuance::Certificate], "two thirds");
    assert_eq!(issue(&view, &wanted, world.now + third * 3), [Issuance::Certificate], "it is over");
    let over = issue(&view, &wanted, world.now + third * 30);
    assert_eq!(over, [Issuance::Authority, Issuance::Certificate], "the authority is over");
}
