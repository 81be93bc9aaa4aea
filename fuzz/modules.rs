//! The modules that meet a stranger's bytes, and no other: included from the server's source, so that a
//! fuzzer is built without the databases and TLS, which take ten times as long.
#![allow(dead_code, unused_imports, reason = "the modules are here whole, the targets use parts of them")]

#[path = "../src/ids.rs"]
pub mod ids;
#[path = "../src/event/mod.rs"]
pub mod event;
#[path = "../src/protocol/mod.rs"]
pub mod protocol;
#[path = "../src/profile/mod.rs"]
pub mod profile;
#[path = "../src/config/mod.rs"]
pub mod config;

#[path = "../src/files"]
pub mod files {
    mod denied;
    mod private;

    pub use denied::{Denied, Need, owner_beside_root};
    pub use private::{create_new, make_folder, open_or_create};
}

#[path = "../src/session"]
pub mod session {
    pub mod frame_guard;
    pub mod gate;
    pub mod message_stream;
}

#[path = "../src/auth"]
pub mod auth {
    mod hs256;
    mod revocations;
    mod tokens;

    pub use tokens::Tokens;
}

#[path = "../src/http"]
pub mod http {
    pub mod api {
        pub mod cursor;
    }
}
