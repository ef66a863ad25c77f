//! Where several processes serve one shop: which of them leads.
//!
//! One leads: it follows the log into the online store, does the jobs, and takes every write of requests. The others answer what shops and
//! shoppers ask, and hand on what writes. All of them beat or look at even intervals ([`merx_store::Lease`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use arc_swap::ArcSwap;
use merx_serve::Leader;
use merx_store::{Fence, Lease, Records, SILENT_LOOKS, Standing, StoreError};
use parking_lot::Mutex;

use crate::background::Repeated;

/// The lease's name in the records.
pub(crate) const LEAD: &str = "lead";
/// Between two beats, or looks.
pub(crate) const BEAT: Duration = Duration::from_secs(1);
/// So long after a beat no other process can have taken the lead: it would have had to look [`SILENT_LOOKS`] times in vain.
const CERTAIN: Duration = Duration::from_secs(SILENT_LOOKS as u64 - 1);

/// How long something has been running: what no change of a clock touches.
pub(crate) type Stopwatch = Arc<dyn Fn() -> Duration + Send + Sync>;

#[allow(clippy::disallowed_methods, reason = "a lead is certain for a time since a beat, whatever clocks say")]
fn stopwatch() -> Stopwatch {
    let began = std::time::Instant::now();
    Arc::new(move || began.elapsed())
}

/// What this process knows of its own lead, and since when it knows nothing new.
pub(crate) struct Touch {
    stopwatch: Stopwatch,
    /// The term that this process has taken over in; 0: it follows.
    term: AtomicI64,
    /// The term of the last beat, and when it began, in milliseconds of the stopwatch.
    beaten: Mutex<(i64, u64)>,
}

impl Touch {
    fn now_ms(&self) -> u64 {
        (self.stopwatch)().as_millis() as u64
    }

    /// Whether another may have led since this process took over: it was paused for long, or its beats don't reach the
    /// records, or the lead that it holds is a later one.
    pub(crate) fn is_lost(&self) -> bool {
        let (term, at) = *self.beaten.lock();
        term != self.term.load(Ordering::SeqCst) || self.now_ms().saturating_sub(at) > CERTAIN.as_millis() as u64
    }
}

/// A name that no other process has.
pub(crate) fn random_name() -> Result<String> {
    let mut name = [0; 16];
    getrandom::fill(&mut name).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    Ok(format!("{:032x}", u128::from_be_bytes(name)))
}

/// Whether a process wants the lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Candidate {
    /// A command that writes; it is refused where another process leads.
    Alone,
    /// Where nobody has it.
    Beside,
    Never,
}

/// The lease, what was seen at the last look, and when that was.
struct Beats {
    wanted: bool,
    holder: String,
    lease: Lease,
    standing: ArcSwap<Standing>,
    touch: Arc<Touch>,
}

impl Beats {
    fn beat(&self) -> Result<(), StoreError> {
        let began = self.touch.now_ms();
        let standing = if self.wanted { self.lease.beat()? } else { self.lease.watch()? };
        if let Standing::Held { term } = standing {
            *self.touch.beaten.lock() = (term, began);
        }
        self.standing.store(Arc::new(standing));
        Ok(())
    }
}

pub(crate) struct Lead {
    beats: Arc<Beats>,
    fence: Arc<Fence>,
    /// Beats until this is dropped.
    beating: Option<Repeated>,
}

impl Lead {
    pub(crate) fn seek(records: Arc<dyn Records>, fence: Arc<Fence>, candidate: Candidate) -> Result<Self> {
        let holder = random_name()?;
        let (alone, wanted) = (candidate == Candidate::Alone, candidate != Candidate::Never);
        let looking = Self::looking_for(wanted, records, fence, holder, stopwatch());
        let mut lead = looking.context("looking who leads this shop")?;
        for _ in 0..=SILENT_LOOKS {
            if !alone || matches!(**lead.beats.standing.load(), Standing::Held { .. }) {
                break;
            }
            std::thread::sleep(BEAT);
            lead.look()?;
        }
        if let (true, Standing::Other { address }) = (alone, &**lead.beats.standing.load()) {
            let folder = format!("(on services, led by {address})");
            return Err(StoreError::Locked { folder }.into());
        }
        let beats = Arc::clone(&lead.beats);
        lead.beating = Some(Repeated::start("lease", BEAT, move |_| Ok(beats.beat()?))?);
        Ok(lead)
    }

    /// After one look; who calls it beats, or looks on, by [`Self::look`].
    #[cfg(test)]
    pub(crate) fn looking(
        records: Arc<dyn Records>,
        fence: Arc<Fence>,
        holder: String,
        stopwatch: Stopwatch,
    ) -> Result<Self, StoreError> {
        Self::looking_for(true, records, fence, holder, stopwatch)
    }

    fn looking_for(
        wanted: bool,
        records: Arc<dyn Records>,
        fence: Arc<Fence>,
        holder: String,
        stopwatch: Stopwatch,
    ) -> Result<Self, StoreError> {
        let beats = Beats {
            wanted,
            lease: Lease::new(records, LEAD, holder.clone()),
            holder,
            standing: ArcSwap::from_pointee(Standing::Other { address: String::new() }),
            touch: Arc::new(Touch { stopwatch, term: AtomicI64::new(0), beaten: Mutex::default() }),
        };
        beats.beat()?;
        Ok(Self { beats: Arc::new(beats), fence, beating: None })
    }

    /// A name that no other process has.
    pub(crate) fn holder(&self) -> &str {
        &self.beats.holder
    }

    pub(crate) fn fence(&self) -> &Arc<Fence> {
        &self.fence
    }

    pub(crate) fn look(&self) -> Result<(), StoreError> {
        self.beats.beat()
    }

    fn term(&self) -> &AtomicI64 {
        &self.beats.touch.term
    }

    pub(crate) fn touch(&self) -> Arc<Touch> {
        Arc::clone(&self.beats.touch)
    }

    pub(crate) fn set_address(&self, address: &str) {
        self.beats.lease.set_address(address);
    }

    pub(crate) fn leads(&self) -> bool {
        self.term().load(Ordering::SeqCst) != 0
    }

    /// The same, asked of the records now.
    pub(crate) fn still_leads(&self) -> bool {
        let known = self.term().load(Ordering::SeqCst);
        known != 0 && self.beats.lease.is_held_in(known).unwrap_or(false)
    }

    pub(crate) fn leader(&self) -> Leader {
        match &**self.beats.standing.load() {
            Standing::Held { .. } if self.leads() => Leader::This,
            Standing::Other { address } if !address.is_empty() => Leader::At(address.as_str().into()),
            _ => Leader::Nobody,
        }
    }

    /// Does what the lease asks for: `take_over` before anything is written in a new term.
    pub(crate) fn follow(&self, take_over: impl FnOnce() -> Result<()>) -> Result<()> {
        let known = self.term().load(Ordering::SeqCst);
        match **self.beats.standing.load() {
            Standing::Held { term } if term == known => Ok(()),
            Standing::Held { term } => {
                self.stand_back();
                take_over()?;
                self.fence.open_for(term);
                self.term().store(term, Ordering::SeqCst);
                tracing::info!(term, "this process leads the shop");
                Ok(())
            }
            Standing::Other { .. } if known == 0 => Ok(()),
            Standing::Other { .. } => {
                self.stand_back();
                tracing::warn!(term = known, "another process leads the shop now");
                Ok(())
            }
        }
    }

    /// From now on this process writes nothing.
    pub(crate) fn stand_back(&self) {
        self.term().store(0, Ordering::SeqCst);
        self.fence.shut();
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.beating.take();
        if let Err(error) = self.beats.lease.give_up() {
            tracing::warn!(%error, "the lead was not given up; another process takes it in a few seconds");
        }
    }
}
