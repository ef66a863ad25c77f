//! Colours by name, by material and by department.

use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rgb(u8, u8, u8);

impl Rgb {
    const fn hex(code: u32) -> Self {
        Self((code >> 16) as u8, (code >> 8) as u8, code as u8)
    }

    /// Towards white, by a share.
    pub(super) fn lighter(self, share: f32) -> Self {
        self.towards(255.0, share)
    }

    /// Towards black, by a share.
    pub(super) fn darker(self, share: f32) -> Self {
        self.towards(0.0, share)
    }

    fn towards(self, end: f32, share: f32) -> Self {
        let mix = |from: u8| (f32::from(from) + (end - f32::from(from)) * share).round() as u8;
        Self(mix(self.0), mix(self.1), mix(self.2))
    }

    /// Luma of Rec. 601, from 0 to 1.
    pub(super) fn lightness(self) -> f32 {
        (0.299 * f32::from(self.0) + 0.587 * f32::from(self.1) + 0.114 * f32::from(self.2)) / 255.0
    }
}

impl fmt::Display for Rgb {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "#{:02x}{:02x}{:02x}", self.0, self.1, self.2)
    }
}

/// The colours of [`crate::vocabulary::COLOURS`].
pub(super) fn named(name: &str) -> Option<Rgb> {
    Some(Rgb::hex(match name {
        "black" => 0x2c_2b2d,
        "ivory" => 0xf3_ecdb,
        "navy" => 0x2a_3a5e,
        "sage" => 0x9c_ae92,
        "terracotta" => 0xc7_6d4b,
        "charcoal" => 0x4b_4e52,
        "sand" => 0xd9_c3a0,
        "rust" => 0xa8_4a2c,
        "sky" => 0x93_bbd9,
        "blush" => 0xe8_b9b5,
        "olive" => 0x73_7547,
        "mustard" => 0xd6_a63c,
        "burgundy" => 0x76_2a3b,
        "teal" => 0x2f_7a78,
        "lilac" => 0xb7_a3cf,
        "cream" => 0xf2_e6c9,
        "cobalt" => 0x2c_55b0,
        "graphite" => 0x5d_6066,
        "coral" => 0xe8_7a66,
        "chestnut" => 0x7d_4b32,
        _ => return None,
    }))
}

/// What things of a material look like where they have no colour of their own.
pub(super) fn of_material(material: &str) -> Option<Rgb> {
    const WORDS: [(&str, u32); 37] = [
        ("cast-iron", 0x3a_3b3f),
        ("carbon", 0x50_5459),
        ("damascus", 0x8f_979e),
        ("stainless", 0xb6_bcc1),
        ("steel", 0xa9_b0b6),
        ("zinc", 0xa5_adb0),
        ("forged", 0x55_5a5f),
        ("enamel", 0xf0_ede4),
        ("silver", 0xc4_c8cc),
        ("gold", 0xd8_b25a),
        ("brass", 0xc9_a45c),
        ("copper", 0xc2_7a55),
        ("pearl", 0xec_e6dc),
        ("crystal", 0xd5_e5ea),
        ("glass", 0xc9_dfe4),
        ("borosilicate", 0xcd_e2e6),
        ("oak", 0xc9_a06c),
        ("walnut", 0x7c_5638),
        ("maple", 0xdc_bb8b),
        ("acacia", 0xa8_7446),
        ("olive wood", 0xb9_8a55),
        ("bamboo", 0xd8_bd84),
        ("wood", 0xcf_a874),
        ("cedar", 0xb5_7a52),
        ("cork", 0xc8_9f6d),
        ("ash-", 0xd9_c39c),
        ("beeswax", 0xe0_b659),
        ("wax", 0xee_e2cb),
        ("cotton", 0xec_e4d6),
        ("percale", 0xee_ebe4),
        ("linen", 0xde_d2bd),
        ("plush", 0xb9_8a62),
        ("silicone", 0x7f_9c96),
        ("stoneware", 0xcd_c6b8),
        ("lavender", 0xb7_a3cf),
        ("lemon", 0xef_d667),
        ("rainforest", 0x5f_8a5f),
    ];
    let found = WORDS.iter().find(|(word, _)| material.contains(word));
    found.map(|(_, code)| Rgb::hex(*code))
}

/// One of a dozen tones that go with each other.
pub(super) fn drawn(number: u64) -> Rgb {
    const TONES: [u32; 12] = [
        0xc7_6d4b, 0x9c_ae92, 0x2f_7a78, 0xd6_a63c, 0x76_2a3b, 0x93_bbd9, 0x7d_4b32, 0xe8_b9b5, 0x2a_3a5e, 0xb7_a3cf,
        0x73_7547, 0xe8_7a66,
    ];
    Rgb::hex(TONES[(number % TONES.len() as u64) as usize])
}

pub(super) fn backdrop(department: &str) -> Rgb {
    Rgb::hex(match department {
        "Women" => 0xee_e1dc,
        "Men" => 0xdd_e2e6,
        "Shoes" => 0xe8_e2d8,
        "Home" => 0xea_e3d6,
        "Kitchen" => 0xe2_e6df,
        "Garden" => 0xde_e8d8,
        "Toys" => 0xf1_e6d2,
        "Electronics" => 0xdf_e3ec,
        "Beauty" => 0xf2_e2e2,
        "Sports" => 0xdb_e7ea,
        "Pantry" => 0xf0_e5d0,
        _ => 0xe8_e6e1,
    })
}
