//! Tasks before some processors, played moment by moment: who runs, who waits for time to pass, and who waits until a writer has written.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// Moments and lengths, in nanoseconds: whole numbers have an order.
pub(super) type Ns = u64;

/// What a task does, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Needs a processor for so long.
    Run(Ns),
    /// Needs nothing but time: a disk, a network, a thread that is being woken.
    Wait(Ns),
    /// Leaves something to the writer with this number, and goes on.
    Leave(usize),
    /// The same, and waits until it is written.
    Write(usize),
    /// Whoever asked is answered; what follows is done behind their back.
    Answer,
}

pub(super) struct Task {
    pub(super) at: Ns,
    pub(super) steps: Vec<Step>,
}

/// Writes whatever is waiting together, one batch after the other.
pub(super) struct Writer {
    /// How long the first of a batch waits for others.
    pub(super) gathers: Ns,
    /// What a batch of so many takes: processor time, then other time.
    pub(super) takes: Box<dyn FnMut(usize) -> (Ns, Ns)>,
}

/// What became of the tasks.
#[derive(Debug, PartialEq)]
pub(super) struct Played {
    /// From when each task began until its answer, by number.
    pub(super) latencies: Vec<Ns>,
    /// When the last step was done.
    pub(super) elapsed: Ns,
    /// Processor time of all.
    pub(super) used: Ns,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Task(usize),
    Writer(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Happens {
    Begins(usize),
    /// A processor that slept begins with what is needed.
    Woke(Who, Ns),
    /// A processor is free again; the rest that its task still needs.
    Ran(Who, Ns),
    Waited(Who),
    Gathered(usize),
}

#[derive(Default)]
struct Desk {
    is_writing: bool,
    /// Tasks that wait until it is written, and those that don't.
    waiting: Vec<Option<usize>>,
    batch: Vec<Option<usize>>,
    /// How long the batch waits when it has run.
    wait: Ns,
}

pub(super) struct Processors {
    pub(super) count: usize,
    /// Who needs one for longer gives it up where somebody waits, and joins the end of the line.
    pub(super) slice: Ns,
    /// One that had nothing to do for so long has to wake up first.
    pub(super) sleeps_after: Ns,
    pub(super) wakes: Box<dyn FnMut() -> Ns>,
}

struct Machine {
    now: Ns,
    /// What happens when; the number keeps those of one moment in their order.
    coming: BinaryHeap<Reverse<(Ns, usize, Happens)>>,
    number: usize,
    processors: Processors,
    /// Since when each processor is free that is; the one that is so for longest comes first, as a scheduler that spreads work would have it.
    free_since: VecDeque<Ns>,
    line: VecDeque<(Who, Ns)>,
    tasks: Vec<Task>,
    next_step: Vec<usize>,
    writers: Vec<Writer>,
    desks: Vec<Desk>,
    played: Played,
}

/// First come, first served by whichever processor is free.
pub(super) fn play(tasks: Vec<Task>, writers: Vec<Writer>, processors: Processors) -> Played {
    let played = Played { latencies: vec![0; tasks.len()], elapsed: 0, used: 0 };
    let mut machine = Machine {
        now: 0,
        coming: BinaryHeap::new(),
        number: 0,
        free_since: vec![0; processors.count].into(),
        processors,
        line: VecDeque::new(),
        next_step: vec![0; tasks.len()],
        desks: writers.iter().map(|_| Desk::default()).collect(),
        tasks,
        writers,
        played,
    };
    for task in 0..machine.tasks.len() {
        machine.happens(machine.tasks[task].at, Happens::Begins(task));
    }
    while let Some(Reverse((now, _, what))) = machine.coming.pop() {
        machine.now = now;
        machine.meet(what);
    }
    machine.played.elapsed = machine.now;
    machine.played
}

impl Machine {
    fn happens(&mut self, at: Ns, what: Happens) {
        self.number += 1;
        self.coming.push(Reverse((at, self.number, what)));
    }

    fn meet(&mut self, what: Happens) {
        match what {
            Happens::Begins(task) => self.go_on(task),
            Happens::Woke(who, needs) => return self.run(who, needs),
            Happens::Ran(who, left) => {
                if left > 0 && self.line.is_empty() {
                    return self.run(who, left);
                }
                self.free_since.push_back(self.now);
                match who {
                    who if left > 0 => self.line.push_back((who, left)),
                    Who::Task(task) => self.go_on(task),
                    Who::Writer(writer) => {
                        self.happens(self.now + self.desks[writer].wait, Happens::Waited(who));
                    }
                }
            }
            Happens::Waited(Who::Task(task)) => self.go_on(task),
            Happens::Waited(Who::Writer(writer)) => {
                for task in std::mem::take(&mut self.desks[writer].batch).into_iter().flatten() {
                    self.go_on(task);
                }
                self.desks[writer].is_writing = false;
                self.begin_batch(writer);
            }
            Happens::Gathered(writer) => {
                let desk = &mut self.desks[writer];
                desk.batch = std::mem::take(&mut desk.waiting);
                let (runs, waits) = (self.writers[writer].takes)(desk.batch.len());
                desk.wait = waits;
                self.line.push_back((Who::Writer(writer), runs));
            }
        }
        self.dispatch();
    }

    fn go_on(&mut self, task: usize) {
        while let Some(step) = self.tasks[task].steps.get(self.next_step[task]).copied() {
            self.next_step[task] += 1;
            match step {
                Step::Run(length) => return self.line.push_back((Who::Task(task), length)),
                Step::Wait(length) => return self.happens(self.now + length, Happens::Waited(Who::Task(task))),
                Step::Leave(writer) => self.bring(writer, None),
                Step::Write(writer) => return self.bring(writer, Some(task)),
                Step::Answer => self.played.latencies[task] = self.now - self.tasks[task].at,
            }
        }
    }

    fn bring(&mut self, writer: usize, waits: Option<usize>) {
        self.desks[writer].waiting.push(waits);
        self.begin_batch(writer);
    }

    fn begin_batch(&mut self, writer: usize) {
        let desk = &mut self.desks[writer];
        if !desk.is_writing && !desk.waiting.is_empty() {
            desk.is_writing = true;
            let gathered = self.now + self.writers[writer].gathers;
            self.happens(gathered, Happens::Gathered(writer));
        }
    }

    fn dispatch(&mut self) {
        while !self.line.is_empty()
            && let Some(since) = self.free_since.pop_front()
            && let Some((who, needs)) = self.line.pop_front()
        {
            if self.now - since < self.processors.sleeps_after {
                self.run(who, needs);
            } else {
                let awake = self.now + (self.processors.wakes)();
                self.happens(awake, Happens::Woke(who, needs));
            }
        }
    }

    fn run(&mut self, who: Who, needs: Ns) {
        let runs = needs.min(self.processors.slice);
        self.played.used += runs;
        self.happens(self.now + runs, Happens::Ran(who, needs - runs));
    }
}

#[cfg(test)]
mod tests {
    use merx_numeric::rng::Rng;

    use super::*;

    const MEAN: f64 = 1e6;
    const NEVER: Ns = Ns::MAX;

    fn processors(count: usize, slice: Ns) -> Processors {
        Processors { count, slice, sleeps_after: NEVER, wakes: Box::new(|| 0) }
    }

    /// Customers who come by chance, so many at a time on average as would keep `busy` processors busy; `service` has the mean `MEAN`.
    fn mean_in_system(busy: f64, count: usize, slice: Ns, mut service: impl FnMut(&mut Rng) -> f64) -> f64 {
        let mut rng = Rng::from_seed(3);
        let mut at = 0.0;
        let tasks: Vec<Task> = (0..600_000)
            .map(|_| {
                at += rng.exponential() * MEAN / busy;
                Task { at: at as Ns, steps: vec![Step::Run(service(&mut rng) as Ns), Step::Answer] }
            })
            .collect();
        let played = play(tasks, Vec::new(), processors(count, slice));
        let used = played.used as f64 / played.elapsed as f64;
        assert!((used / busy - 1.0).abs() < 0.02, "{used} processors busy instead of {busy}");
        played.latencies.iter().sum::<Ns>() as f64 / played.latencies.len() as f64 / MEAN
    }

    fn log_normal(rng: &mut Rng, cv: f64) -> f64 {
        let variance = (1.0 + cv * cv).ln();
        (rng.normal() * variance.sqrt() - variance / 2.0).exp() * MEAN
    }

    #[test]
    fn two_processors_keep_people_waiting_as_erlang_says() {
        // M/M/2: P(wait) = 2 rho^2 / (1 + rho), and who waits does so for 1 / (2 (1 - rho)) services.
        for rho in [0.5, 0.8] {
            let waits = 2.0 * rho * rho / (1.0 + rho) / (2.0 * (1.0 - rho));
            let measured = mean_in_system(2.0 * rho, 2, NEVER, |rng| rng.exponential() * MEAN) - 1.0;
            assert!((measured / waits - 1.0).abs() < 0.05, "at {rho}: {measured} instead of {waits}");
        }
    }

    #[test]
    fn uneven_services_keep_people_waiting_as_pollaczek_and_khinchine_say() {
        // M/G/1: rho (1 + cv^2) / (2 (1 - rho)).
        let (rho, cv) = (0.6, 1.5);
        let waits = rho * (1.0 + cv * cv) / (2.0 * (1.0 - rho));
        let measured = mean_in_system(rho, 1, NEVER, |rng| log_normal(rng, cv)) - 1.0;
        assert!((measured / waits - 1.0).abs() < 0.05, "{measured} instead of {waits}");
    }

    #[test]
    fn in_small_slices_it_does_not_matter_how_uneven_services_are() {
        // M/G/1 with shared time: 1 / (1 - rho), whatever the distribution.
        let (rho, cv) = (0.6, 1.5);
        let measured = mean_in_system(rho, 1, (MEAN / 20.0) as Ns, |rng| log_normal(rng, cv));
        assert!((measured * (1.0 - rho) - 1.0).abs() < 0.05, "{measured}");
    }

    #[test]
    fn a_writer_takes_together_what_came_meanwhile() {
        let task = |at| Task { at, steps: vec![Step::Write(0), Step::Answer, Step::Leave(0)] };
        let takes = Box::new(|count| (10 * count as Ns, 100));
        let played = play([0, 50, 60].map(task).into(), vec![Writer { gathers: 5, takes }], processors(1, NEVER));
        // The first is written at 5 + 10 + 100; then the others with what the first leaves: 5 + 30 + 100 later.
        assert_eq!(played.latencies, [115, 200, 190]);
        // And what those leave: 5 + 20 + 100.
        assert_eq!((played.elapsed, played.used), (375, 60));
    }

    #[test]
    fn a_processor_is_not_needed_to_wait() {
        let task = |at| Task { at, steps: vec![Step::Wait(100), Step::Run(10), Step::Answer, Step::Run(5)] };
        let played = play([0, 0].map(task).into(), Vec::new(), processors(1, NEVER));
        assert_eq!(played.latencies, [110, 120]);
        assert_eq!((played.elapsed, played.used), (130, 30));
    }

    #[test]
    fn a_processor_that_slept_needs_longer() {
        let task = |at| Task { at, steps: vec![Step::Run(10), Step::Answer] };
        let sleepy = Processors { count: 1, slice: 4, sleeps_after: 50, wakes: Box::new(|| 7) };
        let played = play([0, 20, 100].map(task).into(), Vec::new(), sleepy);
        assert_eq!((played.latencies, played.used), (vec![10, 10, 17], 30));
    }
}
