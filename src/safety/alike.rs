//! Characters that are read as others: traditional Chinese as simplified, letters in frames as letters, and
//! look-alikes of other scripts as the Latin letters that they look like. The data is OpenCC's and that of
//! Unicode's TR39.

use std::collections::HashMap;
use std::sync::LazyLock;

use icu_casemap::CaseMapper;
use icu_properties::CodePointMapData;
use icu_properties::props::Script;

const TRADITIONAL_TABLE: &str = include_str!("traditional.txt");

/// Of U+3400 to U+9FFF each, and of what lies beyond in a map: nearly all that is written is in the first.
struct Simplified {
    basic: Vec<char>,
    beyond: HashMap<char, char>,
}

const BASIC: std::ops::Range<u32> = 0x3400..0xA000;

static SIMPLIFIED: LazyLock<Simplified> = LazyLock::new(|| {
    let mut basic: Vec<char> = BASIC.map(|code| char::from_u32(code).unwrap_or('\0')).collect();
    let mut beyond = HashMap::new();
    for line in TRADITIONAL_TABLE.lines().filter(|line| !line.starts_with('#')) {
        let mut chars = line.chars();
        while let (Some(traditional), Some(simplified)) = (chars.next(), chars.next()) {
            match basic.get_mut(index(traditional)) {
                Some(slot) => *slot = simplified,
                None => drop(beyond.insert(traditional, simplified)),
            }
        }
    }
    Simplified { basic, beyond }
});

fn index(c: char) -> usize {
    // Below the range it is too large as well.
    u32::from(c).wrapping_sub(BASIC.start) as usize
}

/// The simplified character that a Han character is read as; of any other itself.
pub fn simplified(c: char) -> char {
    let table = &*SIMPLIFIED;
    table.basic.get(index(c)).or_else(|| table.beyond.get(&c)).copied().unwrap_or(c)
}

/// Scripts whose letters may be taken for Latin ones.
fn is_look_alike_script(script: Script) -> bool {
    [Script::Cyrillic, Script::Greek, Script::Armenian, Script::Cherokee, Script::Coptic, Script::Lisu]
        .contains(&script)
}

/// What a letter is to one who looks for Latin words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looks {
    /// A letter of ASCII's.
    Latin,
    /// Taken for this letter of ASCII's.
    Like(char),
    /// A letter of a script that has look-alikes, which is none.
    Foreign,
    Other,
}

/// Of every code point up to here: 0 nothing, 1 a foreign letter, else the ASCII letter that it looks like.
const LOOKS_END: u32 = 0xAC00;
const FOREIGN: u8 = 1;

static LOOKS: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let scripts = CodePointMapData::<Script>::new();
    let look = |code: u32| {
        let Some(c) = char::from_u32(code).filter(|c| !c.is_ascii() && c.is_alphabetic()) else { return 0 };
        let script = scripts.get(c);
        match like(c) {
            // Turkish words have it.
            _ if c == 'ı' => 0,
            Some(letter) if script == Script::Latin || is_look_alike_script(script) => letter,
            _ if is_look_alike_script(script) => FOREIGN,
            _ => 0,
        }
    };
    (0..LOOKS_END).map(look).collect()
});

/// The ASCII letter that a letter without case is confusable with, in small or in capital.
fn like(c: char) -> Option<u8> {
    let mapper = CaseMapper::new();
    [c, mapper.simple_uppercase(c)].into_iter().find_map(|c| {
        let text = c.to_string();
        let mut skeleton = unicode_security::skeleton(&text);
        let letter = skeleton.next().filter(char::is_ascii_alphabetic)?;
        if skeleton.next().is_some() { None } else { u8::try_from(letter.to_ascii_lowercase()).ok() }
    })
}

/// How a letter looks, of which case is folded.
pub fn looks(c: char) -> Looks {
    match c {
        'a'..='z' => Looks::Latin,
        _ if c.is_ascii() => Looks::Other,
        _ => match LOOKS.get(u32::from(c) as usize) {
            None | Some(0) => Looks::Other,
            Some(&FOREIGN) => Looks::Foreign,
            Some(letter) => Looks::Like(char::from(*letter)),
        },
    }
}

/// Letters and digits that stand in frames of their own, which NFKC leaves as they are.
const FRAMED: [(u32, u32, char); 9] = [
    (0x1F150, 0x1F169, 'a'),
    (0x1F170, 0x1F189, 'a'),
    (REGIONAL.0, REGIONAL.1, 'a'),
    (0x24FF, 0x24FF, '0'),
    (0x24F5, 0x24FD, '1'),
    (0x2776, 0x277E, '1'),
    (0x2780, 0x2788, '1'),
    (0x278A, 0x2792, '1'),
    (0x1F10C, 0x1F10C, '0'),
];

/// Two of these make a flag, where there is such a region.
const REGIONAL: (u32, u32) = (0x1F1E6, 0x1F1FF);

fn is_regional(c: char) -> bool {
    (REGIONAL.0..=REGIONAL.1).contains(&u32::from(c))
}

fn framed(c: char) -> Option<char> {
    let code = u32::from(c);
    let (first, _, base) = FRAMED.iter().find(|(first, last, _)| (*first..=*last).contains(&code))?;
    char::from_u32(u32::from(*base) + code - first)
}

/// The text with its framed letters as plain ones; flags stay flags.
pub fn unframed(text: String) -> String {
    if !text.chars().any(|c| framed(c).is_some()) {
        return text;
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(c) = rest.chars().next() {
        let run = rest.find(|c| !is_regional(c)).unwrap_or(rest.len());
        let taken = if run > 0 { run } else { c.len_utf8() };
        let (now, later) = rest.split_at(taken);
        if run > 0 && is_all_flags(now) {
            plain.push_str(now);
        } else {
            plain.extend(now.chars().map(|c| framed(c).unwrap_or(c)));
        }
        rest = later;
    }
    plain
}

/// Every region that has a flag (ISO 3166-1, and what Unicode adds to it).
const REGIONS: &str = "AC AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA \
     CC CD CF CG CH CI CK CL CM CN CO CP CQ CR CU CV CW CX CY CZ DE DG DJ DK DM DO DZ EA EC EE EG EH ER ES ET EU FI FJ FK FM FO FR GA GB GD \
     GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU IC ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP \
     KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI \
     NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST \
     SV SX SY SZ TA TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM UN US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW";

fn is_all_flags(regional: &str) -> bool {
    let letters: Vec<char> = regional.chars().filter_map(framed).map(|c| c.to_ascii_uppercase()).collect();
    letters.chunks(2).all(|pair| {
        pair.len() == 2 && REGIONS.split(' ').any(|region| region.chars().eq(pair.iter().copied()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_pairs_that_end_and_say_one_thing() {
        let lines = || TRADITIONAL_TABLE.lines().filter(|line| !line.starts_with('#'));
        let mut pairs = HashMap::new();
        for line in lines() {
            let chars: Vec<char> = line.chars().collect();
            for pair in chars.chunks(2) {
                assert!(pair.len() == 2 && pairs.insert(pair[0], pair[1]).is_none(), "{pair:?}");
            }
        }
        assert!(pairs.len() > 3_000 && pairs.values().all(|simplified| !pairs.contains_key(simplified)));
        assert!(
            pairs.iter().all(|(traditional, simplified_one)| simplified(*traditional) == *simplified_one)
        );
        for (traditional, simplified_one) in "臺台獨独灣湾後后髮发發发裏里裡里國国門门"
            .chars()
            .collect::<Vec<_>>()
            .chunks(2)
            .map(|pair| (pair[0], pair[1]))
        {
            assert_eq!(simplified(traditional), simplified_one);
        }
        assert_eq!(
            "aЖ台\u{3400}\u{20000}".chars().map(simplified).collect::<String>(),
            "aЖ台\u{3400}\u{20000}"
        );
    }

    #[test]
    fn letters_of_other_scripts_look_like_latin_ones_and_none_of_ascii_like_another() {
        for (c, letter) in [
            ('а', 'a'),
            ('е', 'e'),
            ('о', 'o'),
            ('р', 'p'),
            ('с', 'c'),
            ('к', 'k'),
            ('м', 'm'),
            ('т', 't'),
            ('ο', 'o'),
            ('α', 'a'),
            ('ɡ', 'g'),
        ] {
            assert_eq!(looks(c), Looks::Like(letter), "{c}");
        }
        assert!("жщюяλξω".chars().all(|c| looks(c) == Looks::Foreign));
        assert!("01ı字éñ中かไ한אا".chars().all(|c| looks(c) == Looks::Other));
        assert!(('a'..='z').all(|c| looks(c) == Looks::Latin));
    }

    #[test]
    fn framed_letters_are_letters_and_flags_are_flags() {
        for (text, plain) in [
            ("🅑🅐🅓", "bad"),
            ("🅱🅰🅳", "bad"),
            ("🇧🇦🇩", "bad"),
            ("🇧\u{200B}🇦\u{200B}🇩", "b\u{200B}a\u{200B}d"),
            ("x🇸🇪🇽🇾", "xsexy"),
            ("❽❾❻❹", "8964"),
            ("🇨🇳🇺🇸 🇸🇪🇽🇰", "🇨🇳🇺🇸 🇸🇪🇽🇰"),
            ("plain 字", "plain 字"),
        ] {
            assert_eq!(unframed(text.to_owned()), plain, "{text}");
        }
    }
}
