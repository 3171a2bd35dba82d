//! A polling body of Engine.IO 3 in text framing: lengths in UTF-16 units, perhaps text encoded twice.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sockeye_engine_proto::{Revision, WireKind};
use sockeye_fuzz::payload::check;

fuzz_target!(|body: &[u8]| check(Revision::V3, WireKind::Text, body));
