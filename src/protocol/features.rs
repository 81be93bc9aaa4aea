//! Features beyond the first release that one side of a session tells the other of: the client at the
//! handshake, the server in `init`.

use super::Dialect;

/// Maximum length of a handshake's `features`, in bytes. A longer list counts as none.
const CLIENT_FEATURES_BYTES: usize = 256;

/// What the client of a session knows. A plain client knows none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClientFeatures {
    groups: bool,
    presence: bool,
}

impl ClientFeatures {
    /// Reads the comma-separated names of a handshake. Unknown ones are those of a later release.
    pub fn parse(dialect: Dialect, names: &str) -> Self {
        let mut known = Self::default();
        if dialect == Dialect::Plain || names.len() > CLIENT_FEATURES_BYTES {
            return known;
        }
        for name in names.split(',') {
            match name {
                "groups" => known.groups = true,
                "presence" => known.presence = true,
                _ => {}
            }
        }
        known
    }

    /// Groups may be sent unasked.
    pub fn groups(self) -> bool {
        self.groups
    }

    pub fn presence(self) -> bool {
        self.presence
    }

    /// Their names, for a log line; `None` where there are none.
    pub fn names(self) -> Option<&'static str> {
        match (self.groups, self.presence) {
            (true, true) => Some("groups,presence"),
            (true, false) => Some("groups"),
            (false, true) => Some("presence"),
            (false, false) => None,
        }
    }
}

/// A feature that a server may have, by its name in `init`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::VariantArray, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum ServerFeature {
    Messages,
    Presence,
    Media,
    Reports,
    Streams,
    Groups,
}

/// What this server has.
pub const SERVER_FEATURES: &[ServerFeature] = &[ServerFeature::Presence];

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dialect: Dialect, list: &str) -> Option<&'static str> {
        ClientFeatures::parse(dialect, list).names()
    }

    #[test]
    fn known_names_count_and_all_others_are_ignored() {
        for (list, known) in [
            ("", None),
            ("groups", Some("groups")),
            ("presence,groups", Some("groups,presence")),
            ("polls,presence,,presence,\0,ö", Some("presence")),
            ("Groups,groups ,group,groupspresence", None),
        ] {
            assert_eq!(names(Dialect::V1, list), known, "{list:?}");
            assert_eq!(names(Dialect::Plain, list), None, "{list:?}");
        }
        let both = ClientFeatures::parse(Dialect::V1, "groups");
        assert_eq!((both.groups(), both.presence()), (true, false));
    }

    #[test]
    fn a_list_over_its_bound_counts_as_none() {
        let list = |bytes: usize| format!("groups,{}", "x".repeat(bytes - 7));
        assert_eq!(names(Dialect::V1, &list(256)), Some("groups"));
        assert_eq!(names(Dialect::V1, &list(257)), None);
    }
}
