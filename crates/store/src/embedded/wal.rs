//! Whether a write-ahead log is whole, before SQLite recovers it.
//!
//! SQLite reads a write-ahead log up to the first frame that doesn't check, and takes the rest for what a crash left
//! unfinished. That is right for the last transaction only: every commit is synced before the next begins, so a broken
//! frame that has a commit *and more* after it is damage, and recovering silently would lose acknowledged commits.
//! Not detected here: the last transaction broken, or the file cut. (The log finds a cut through its own notes
//! only where the snapshot of the online store knows better.)
//!
//! Format: <https://sqlite.org/fileformat2.html#the_write_ahead_log>.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use super::file_error;
use crate::{Result, StoreError};

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
const MAGIC_LITTLE_ENDIAN: u32 = 0x377f_0682;
const MAGIC_BIG_ENDIAN: u32 = 0x377f_0683;

/// Running checksum over pairs of words.
#[derive(Clone, Copy, PartialEq)]
struct Checksum {
    sums: [u32; 2],
    big_endian: bool,
}

impl Checksum {
    fn add(&mut self, bytes: &[u8]) {
        for pair in bytes.chunks_exact(8) {
            let [a, b] = [self.word(pair, 0), self.word(pair, 4)];
            self.sums[0] = self.sums[0].wrapping_add(a).wrapping_add(self.sums[1]);
            self.sums[1] = self.sums[1].wrapping_add(b).wrapping_add(self.sums[0]);
        }
    }

    fn word(&self, bytes: &[u8], at: usize) -> u32 {
        let word = big_endian(bytes, at);
        if self.big_endian { word } else { word.swap_bytes() }
    }
}

pub(super) fn check_wal(database: &Path, what: &'static str) -> Result<()> {
    let mut path = database.as_os_str().to_owned();
    path.push("-wal");
    let path = PathBuf::from(path);
    let file = match File::open(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        opened => opened.map_err(|error| file_error(what, &error))?,
    };
    match sound_bytes(BufReader::with_capacity(1 << 20, file)) {
        Ok(None) => Ok(()),
        Ok(Some(sound)) => Err(StoreError::Damaged {
            what,
            detail: format!(
                "{} is broken at byte {sound}, with commits after it. Restore it, or cut it to {sound} bytes to go on \
                 without them",
                path.display()
            ),
        }),
        Err(error) => Err(file_error(what, &error)),
    }
}

/// The number of sound bytes where commits after them are lost, `None` where all is well.
fn sound_bytes(mut wal: impl Read) -> std::io::Result<Option<u64>> {
    let mut header = [0; HEADER];
    if !fill(&mut wal, &mut header)? || header == [0; HEADER] {
        return Ok(None);
    }
    let magic = big_endian(&header, 0);
    let mut checksum = Checksum { sums: [0; 2], big_endian: magic == MAGIC_BIG_ENDIAN };
    checksum.add(&header[..24]);
    let page_bytes = big_endian(&header, 8) as usize;
    let known = [MAGIC_LITTLE_ENDIAN, MAGIC_BIG_ENDIAN].contains(&magic) && (512..=65_536).contains(&page_bytes);
    if !known || checksum.sums != pair(&header, 24) {
        return Ok(Some(0));
    }
    let salts = pair(&header, 16);
    let mut frame = vec![0; FRAME_HEADER + page_bytes];
    let mut sound = HEADER as u64;
    let mut broken = false;
    let mut commit_after = false;
    while fill(&mut wal, &mut frame)? {
        // Frames of an earlier round of the file have other salts.
        let of_this_round = pair(&frame, 8) == salts;
        if !broken {
            checksum.add(&frame[..8]);
            checksum.add(&frame[FRAME_HEADER..]);
            broken = !of_this_round || checksum.sums != pair(&frame, 16);
        }
        if !broken {
            sound += frame.len() as u64;
            continue;
        }
        if of_this_round && commit_after {
            return Ok(Some(sound));
        }
        commit_after |= of_this_round && big_endian(&frame, 4) != 0;
    }
    Ok(None)
}

/// Whether there was enough to fill it.
fn fill(input: &mut impl Read, bytes: &mut [u8]) -> std::io::Result<bool> {
    match input.read_exact(bytes) {
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| true),
    }
}

fn big_endian(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().fold(0, |word, byte| word << 8 | u32::from(*byte))
}

fn pair(bytes: &[u8], at: usize) -> [u32; 2] {
    [big_endian(bytes, at), big_endian(bytes, at + 4)]
}
