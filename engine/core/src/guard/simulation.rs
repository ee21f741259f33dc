//! Random runs of the guard, with the invariants that must hold after every step.

use proptest::prelude::*;

use super::outcome::Fault;
use super::*;

#[derive(Debug, Clone)]
enum Event {
    Wait(i64),
    Start(Dependency),
    /// Ends one of the running calls.
    End(prop::sample::Index, Outcome),
    EndProbe(bool),
    Want(Mode),
    Force(Mode, i64),
    Declare(Option<(Mode, i64)>),
    Clear,
    Reset,
    Restart,
}

fn mode() -> impl Strategy<Value = Mode> {
    prop::sample::select(Mode::ALL.to_vec())
}

fn event() -> impl Strategy<Value = Event> {
    let outcome = prop::sample::select(vec![
        Outcome::Answered,
        Outcome::AuthenticationFailed,
        Outcome::Failed(Fault::Timeout),
        Outcome::Failed(Fault::RateLimited(400_000)),
        Outcome::GivenUp,
        Outcome::Refused,
        Outcome::Unjudged,
    ]);
    let wait = prop_oneof![0..500_i64, 500..400_000_i64];
    prop_oneof![
        6 => wait.prop_map(Event::Wait),
        4 => prop::sample::select(Dependency::ALL.to_vec()).prop_map(Event::Start),
        6 => (any::<prop::sample::Index>(), outcome).prop_map(|(call, outcome)| Event::End(call, outcome)),
        4 => prop::bool::weighted(0.8).prop_map(Event::EndProbe),
        1 => mode().prop_map(Event::Want),
        1 => (mode(), 1..2_000_000_i64).prop_map(|(mode, left)| Event::Force(mode, left)),
        1 => prop::option::of((mode(), 1..2_000_000_i64)).prop_map(Event::Declare),
        1 => Just(Event::Clear),
        1 => Just(Event::Reset),
        1 => Just(Event::Restart),
    ]
}

/// The guard, and what the invariants need to know of its past.
struct World {
    guard: Guard,
    ms: i64,
    random: u32,
    calls: Vec<(Dependency, u64)>,
    next_call: u64,
    /// Probes in a row that passed while reads were off.
    passed: u32,
}

impl World {
    fn now(&self) -> Now {
        let wall = Timestamp::from_millisecond(1_800_000_000_000 + self.ms).unwrap();
        Now { ms: self.ms, wall, random: self.random }
    }

    fn hold(&self, mode: Mode, left_ms: i64) -> Hold {
        let until_ms = self.ms + left_ms;
        let until = self.now().wall_at(until_ms);
        Hold {
            mode,
            reason: String::new(),
            by: String::new(),
            redacted: false,
            since: self.now().wall,
            until,
            until_ms,
        }
    }

    fn input(&mut self, event: &Event) -> Option<Input> {
        match event {
            Event::Wait(ms) => {
                self.ms += ms;
                Some(Input::Tick)
            }
            Event::Start(dependency) => {
                self.next_call += 1;
                self.calls.push((*dependency, self.next_call));
                Some(Input::Started { dependency: *dependency, call: self.next_call })
            }
            Event::End(index, outcome) => {
                if self.calls.is_empty() {
                    return None;
                }
                let (dependency, call) = self.calls.remove(index.index(self.calls.len()));
                Some(Input::Ended { dependency, call, outcome: *outcome })
            }
            Event::EndProbe(passed) => {
                self.guard.probe.map(|probe| Input::ProbeEnded { number: probe.number, passed: *passed })
            }
            Event::Want(mode) => Some(Input::Want { mode: *mode, person: None }),
            Event::Force(mode, left_ms) => Some(Input::Force { hold: self.hold(*mode, *left_ms) }),
            Event::Declare(hold) => {
                Some(Input::Declare { hold: hold.map(|(mode, left_ms)| self.hold(mode, left_ms)) })
            }
            Event::Clear => Some(Input::Clear),
            Event::Reset => Some(Input::Reset),
            Event::Restart => {
                self.restart();
                None
            }
        }
    }

    fn restart(&mut self) {
        let before = self.guard.effective(self.ms);
        self.guard = Guard::resume(self.guard.saved(self.now()), self.now(), &GuardSettings::default());
        self.passed = 0;
        self.calls.clear();
        assert_eq!(self.guard.effective(self.ms), before, "a restart changes the mode");
    }

    fn step(&mut self, event: &Event) {
        let Some(input) = self.input(event) else { return };
        let (now, settings) = (self.now(), GuardSettings::default());
        let before = self.guard.clone();
        let effects = self.guard.step(&input, now, &settings);
        self.never_widens();
        self.a_manual_hold_outlives_probes(&before, &input);
        self.one_probe_at_a_time(&before, &input, &effects);
        self.leaves_forced_only_by_success_or_expiry(&before, &input, &settings);
        if let Some(record) = Record::of(&before, &input, now, &settings, &self.guard) {
            assert_eq!(record.again(), self.guard, "a recorded decision comes out differently");
        } else {
            assert_eq!(before.effective(self.ms), self.guard.effective(self.ms), "a change without a record");
        }
    }

    fn never_widens(&self) {
        let effective = self.guard.effective(self.ms);
        assert_eq!(effective.intersect(self.guard.wanted), effective);
        for hold in [&self.guard.direct, &self.guard.declared].into_iter().flatten() {
            assert_eq!(effective.intersect(hold.mode), effective);
        }
    }

    fn a_manual_hold_outlives_probes(&self, before: &Guard, input: &Input) {
        let is_command = matches!(input, Input::Clear | Input::Force { .. } | Input::Declare { .. });
        for (was, is) in [(&before.direct, &self.guard.direct), (&before.declared, &self.guard.declared)] {
            if was != is && !is_command {
                assert!(was.as_ref().is_some_and(|hold| hold.until_ms <= self.ms), "ended by {input:?}");
            }
        }
    }

    fn one_probe_at_a_time(&self, before: &Guard, input: &Input, effects: &[Effect]) {
        let ended = matches!(input, Input::ProbeEnded { .. });
        let lost = before.probe.is_some_and(|probe| self.ms - probe.started_ms >= PROBE_LOST_MS);
        assert!(effects.len() <= 1);
        if !effects.is_empty() {
            assert!(before.probe.is_none() || ended || lost, "two probes at once");
        }
    }

    fn leaves_forced_only_by_success_or_expiry(
        &mut self,
        before: &Guard,
        input: &Input,
        settings: &GuardSettings,
    ) {
        if let Automatic::Forced { until_ms, .. } = before.automatic
            && !matches!(input, Input::Clear)
        {
            match self.guard.automatic {
                Automatic::Forced { .. } => {}
                Automatic::Probing { .. } => assert!(until_ms <= self.ms, "probes began early"),
                left => panic!("forced became {left:?} with {input:?}"),
            }
        }
        let restored = matches!(before.automatic, Automatic::Probing { .. });
        if restored && matches!(input, Input::ProbeEnded { passed: true, .. }) {
            self.passed += 1;
        }
        if restored && self.guard.automatic.allowed() == Mode::ReadWrite && !matches!(input, Input::Clear) {
            assert!(self.passed >= settings.probe_successes, "restored after {} probes", self.passed);
        }
        if self.guard.automatic.name() != "probing" {
            self.passed = 0;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_invariants_hold_in_every_run(
        wanted in mode(),
        random in any::<u32>(),
        events in prop::collection::vec(event(), 1..200),
    ) {
        let begin = Now { ms: 0, wall: Timestamp::from_second(1_800_000_000).unwrap(), random };
        let guard = Guard::new(wanted, begin);
        let mut world = World { guard, ms: 0, random, calls: Vec::new(), next_call: 0, passed: 0 };
        for event in &events {
            world.step(event);
        }
    }
}
