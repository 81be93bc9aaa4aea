//! Lines that C libraries print on standard error become log lines.
//!
//! libpq prints what a server says while a connection is made (a collation that has changed, a setting of the
//! role that is no longer valid): its default notice processor is the C library's `stderr`, and diesel puts
//! another in its place only afterwards. The C stream is replaced, not the descriptor: what Rust writes when
//! it aborts still goes straight out.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The same line is written once in so long: every new connection draws it again.
const REPEAT_INTERVAL: Duration = Duration::from_secs(3_600);
/// Lines remembered for that.
const REMEMBERED_LINES: usize = 64;

/// The lines written lately.
#[derive(Debug, Default)]
struct Lines {
    written: VecDeque<(String, Instant)>,
}

impl Lines {
    const fn new() -> Self {
        Self { written: VecDeque::new() }
    }

    /// Whether a line is to be written now.
    fn is_due(&mut self, line: &str, now: Instant) -> bool {
        self.written.retain(|(_, at)| now.saturating_duration_since(*at) < REPEAT_INTERVAL);
        if self.written.iter().any(|(written, _)| written == line) {
            return false;
        }
        if self.written.len() == REMEMBERED_LINES {
            self.written.pop_front();
        }
        self.written.push_back((line.to_owned(), now));
        true
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(super) use gnu::redirect;

/// Other C libraries have no stream of one's own making, or a `stderr` that cannot be set.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(super) fn redirect() {}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod gnu {
    use std::ffi::{c_char, c_int, c_void};
    use std::ptr;
    use std::sync::{Mutex, PoisonError};
    use std::time::Instant;

    use super::Lines;

    /// `_IOLBF` of `<stdio.h>`.
    const LINE_BUFFERED: c_int = 1;

    static LINES: Mutex<Lines> = Mutex::new(Lines::new());

    type Write = unsafe extern "C" fn(*mut c_void, *const c_char, usize) -> isize;

    /// `cookie_io_functions_t`: what is null does nothing (fopencookie(3)).
    #[repr(C)]
    struct Functions {
        read: Option<unsafe extern "C" fn()>,
        write: Option<Write>,
        seek: Option<unsafe extern "C" fn()>,
        close: Option<unsafe extern "C" fn()>,
    }

    unsafe extern "C" {
        fn fopencookie(cookie: *mut c_void, mode: *const c_char, functions: Functions) -> *mut c_void;
        fn setvbuf(stream: *mut c_void, buffer: *mut c_char, mode: c_int, size: usize) -> c_int;
        static mut stderr: *mut c_void;
    }

    /// Gives the C library another `stderr`. Called once, before there are other threads that could print.
    pub fn redirect() {
        let functions = Functions { read: None, write: Some(write), seek: None, close: None };
        // SAFETY: the mode is a C string, the functions match their types in <stdio.h>, and no other thread
        // reads `stderr` yet.
        unsafe {
            let stream = fopencookie(ptr::null_mut(), c"w".as_ptr(), functions);
            if !stream.is_null() {
                setvbuf(stream, ptr::null_mut(), LINE_BUFFERED, 0);
                stderr = stream;
            }
        }
    }

    /// # Safety
    /// `text` points to `length` bytes, as stdio hands them over.
    unsafe extern "C" fn write(_: *mut c_void, text: *const c_char, length: usize) -> isize {
        // SAFETY: see above.
        let text = String::from_utf8_lossy(unsafe { std::slice::from_raw_parts(text.cast(), length) });
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if LINES.lock().unwrap_or_else(PoisonError::into_inner).is_due(line, Instant::now()) {
                log::warn!(target: "library", "{line}");
            }
        }
        isize::try_from(length).unwrap_or(isize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_line_is_written_once_an_hour() {
        let (start, mut lines) = (Instant::now(), Lines::default());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(lines.is_due("WARNING: a", at(0)));
        assert!(lines.is_due("WARNING: b", at(1)));
        assert!(!lines.is_due("WARNING: a", at(3_599)));
        assert!(lines.is_due("WARNING: a", at(3_600)));
        for n in 0..2 * REMEMBERED_LINES {
            assert!(lines.is_due(&n.to_string(), at(3_600)));
        }
        assert_eq!(lines.written.len(), REMEMBERED_LINES);
    }
}
