//! Processes of one machine whose clocks are minutes apart, by Debian's libfaketime.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::harness::Server;

/// libfaketime sets right until when `pthread_cond_timedwait` waits, and leaves its twin of C11 alone, which the client of Kafka waits by: until
/// minutes later, by a clock that is ahead. The two are one in glibc.
const TWIN: &str = r"
#include <errno.h>
#include <pthread.h>
#include <threads.h>
int cnd_timedwait(cnd_t *condition, mtx_t *mutex, const struct timespec *until) {
    int failed = pthread_cond_timedwait((pthread_cond_t *)condition, (pthread_mutex_t *)mutex, until);
    return failed == 0 ? thrd_success : failed == ETIMEDOUT ? thrd_timedout : thrd_error;
}
";

/// A clock that is as many seconds ahead as was last said.
pub(crate) struct Clock(PathBuf);

impl Clock {
    pub(crate) fn in_folder(folder: &Path, name: &str, ahead_s: i64) -> Self {
        let clock = Self(folder.join(name));
        clock.set(ahead_s);
        clock
    }

    /// Counts within a second.
    pub(crate) fn set(&self, ahead_s: i64) {
        // Whole or not at all: a process may read it at any moment.
        let beside = self.0.with_extension("writing");
        std::fs::write(&beside, format!("{ahead_s:+}")).unwrap();
        std::fs::rename(beside, &self.0).unwrap();
    }

    /// A command that becomes the process which it is given, by this clock. How long something takes it goes on measuring rightly, as
    /// on a machine whose clock is wrong.
    pub(crate) fn starter(&self) -> Vec<String> {
        let folders = std::fs::read_dir("/usr/lib").unwrap().filter_map(Result::ok);
        let mut libraries = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
        let library = libraries.find(|path| path.exists()).expect("libfaketime is missing: tools/setup clocks");
        let (source, twin) = (self.0.with_extension("c"), self.0.with_extension("so"));
        std::fs::write(&source, TWIN).unwrap();
        let compiled = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&twin).arg(&source).status().unwrap();
        assert!(compiled.success(), "cc, which links Rust's programs, compiles this one");
        vec![
            "env".to_owned(),
            format!("LD_PRELOAD={}:{}", twin.display(), library.display()),
            format!("FAKETIME_TIMESTAMP_FILE={}", self.0.display()),
            "FAKETIME_CACHE_DURATION=1".to_owned(),
            "FAKETIME_DONT_FAKE_MONOTONIC=1".to_owned(),
            "FAKETIME_DISABLE_SHM=1".to_owned(),
        ]
    }
}

/// How far a process's clock is ahead of this one's, in seconds, as its decisions are numbered: the first six bytes are milliseconds. The
/// date in the head of its answers stands still when its clock goes back.
pub(crate) fn ahead_s(server: &Server) -> i64 {
    let answer = server.recommend(&json!({ "anonymous_id": "clock" }), "popular");
    let decided_ms = i64::from_str_radix(&answer["decision_id"].as_str().unwrap()[..12], 16).unwrap();
    let own_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    (decided_ms - own_ms) / 1_000
}
