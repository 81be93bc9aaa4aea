//! Filter of the stored keys: a new message, as nearly all are, is not looked up.
//!
//! A split block Bloom filter (Apache Parquet, "Parquet Bloom Filter"): a key has one bit in each of the eight
//! words of one block, which is within a line of the processor's cache. Fewer than one new key in a hundred is
//! taken for one that is stored, and is looked up in vain.

/// Eight odd numbers; each picks a bit of a word.
const SALTS: [u32; 8] =
    [0x47b6_137b, 0x4497_4d91, 0x8824_ad5b, 0xa2b7_289d, 0x7054_95c7, 0x2df1_424b, 0x9efc_4947, 0x5c6b_fb31];
/// Keys a block has room for: at twelve bits a key.
const KEYS_A_BLOCK: usize = 21;
/// Blocks of the first part, 128 KiB.
const FIRST_BLOCKS: usize = 4_096;
/// Each further part is so many times the one before.
const GROWTH: usize = 4;
/// With four parts 10.6 MiB.
const PARTS: u32 = 4;

/// Keys that the filter can take; of more, everything may be stored.
pub(super) const KEY_FILTER_CAPACITY: usize =
    FIRST_BLOCKS * KEYS_A_BLOCK * (GROWTH.pow(PARTS) - 1) / (GROWTH - 1);

#[derive(Default)]
pub(super) struct KeyFilter {
    parts: Vec<Part>,
    is_full: bool,
}

struct Part {
    blocks: Vec<[u32; 8]>,
    free: usize,
}

impl KeyFilter {
    /// One that takes everything for stored.
    pub(super) fn full() -> Self {
        Self { parts: Vec::new(), is_full: true }
    }

    pub(super) fn insert(&mut self, conversation: i64, hash: i64) {
        if self.is_full {
            return;
        }
        if self.parts.last().is_none_or(|part| part.free == 0) {
            if self.parts.len() == PARTS as usize {
                *self = Self::full();
                return;
            }
            let blocks = self.parts.last().map_or(FIRST_BLOCKS, |part| part.blocks.len() * GROWTH);
            self.parts.push(Part { blocks: vec![[0; 8]; blocks], free: blocks * KEYS_A_BLOCK });
        }
        let mixed = mix(conversation, hash);
        if let Some(part) = self.parts.last_mut() {
            part.free -= 1;
            let at = part.block(mixed);
            for (word, salt) in part.blocks[at].iter_mut().zip(SALTS) {
                *word |= bit(mixed, salt);
            }
        }
    }

    /// False: it is surely not among those inserted.
    pub(super) fn may_have(&self, conversation: i64, hash: i64) -> bool {
        let mixed = mix(conversation, hash);
        let is_in = |part: &Part| {
            let block = &part.blocks[part.block(mixed)];
            block.iter().zip(SALTS).all(|(word, salt)| word & bit(mixed, salt) != 0)
        };
        self.is_full || self.parts.iter().any(is_in)
    }
}

impl Part {
    /// By the upper half; the lower one picks the bits.
    fn block(&self, mixed: u64) -> usize {
        ((mixed >> 32) as usize * self.blocks.len()) >> 32
    }
}

fn bit(mixed: u64, salt: u32) -> u32 {
    1 << ((mixed as u32).wrapping_mul(salt) >> 27)
}

/// The hash is even by itself; a client can choose its own, and so not where it falls in other conversations.
fn mix(conversation: i64, hash: i64) -> u64 {
    (hash ^ conversation.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64)) as u64
}

#[cfg(test)]
mod tests {
    use super::super::keys::hash;
    use super::*;

    #[test]
    fn what_was_inserted_is_found_and_little_else() {
        let mut filter = KeyFilter::default();
        // Beyond the first part.
        let keys = FIRST_BLOCKS * KEYS_A_BLOCK * 2;
        let of = |n: usize| (1 + n as i64 % 50, hash("sender", &n.to_string()));
        assert!(!filter.may_have(1, 1));
        for n in 0..keys {
            let (conversation, hash) = of(n);
            filter.insert(conversation, hash);
        }
        assert!((0..keys).all(|n| filter.may_have(of(n).0, of(n).1)));
        let wrong = (keys..2 * keys).filter(|n| filter.may_have(of(*n).0, of(*n).1)).count();
        assert!(wrong * 100 < keys, "{wrong} of {keys}");
    }

    #[test]
    fn one_that_is_full_has_everything() {
        let mut filter = KeyFilter::default();
        for n in 0..=KEY_FILTER_CAPACITY as i64 {
            filter.insert(1, n.wrapping_mul(0x0123_4567_89ab_cdef));
        }
        assert!(filter.parts.is_empty() && filter.may_have(9, 9));
    }
}
