//! What the made-up shop sells, in tables: departments, kinds of products, styles, colours, brands, and which kinds go
//! together. Names are invented; a resemblance to a brand that exists is chance.

use crate::season::Season::{self, AllYear, Autumn, Gifts, Outdoors, School, Spring, Summer, Winter};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Department {
    Women,
    Men,
    Shoes,
    Home,
    Kitchen,
    Garden,
    Toys,
    Electronics,
    Beauty,
    Sports,
    Pantry,
}

/// What a department's products have in common.
#[derive(Debug)]
pub(crate) struct DepartmentWords {
    pub(crate) name: &'static str,
    pub(crate) brands: [&'static str; 10],
    /// Words that go before the noun, by style in the order of [`STYLES`].
    pub(crate) style_words: [[&'static str; 3]; 8],
    /// Second sentences of descriptions.
    pub(crate) sentences: [&'static str; 5],
    /// How much of December's gifts are found here.
    pub(crate) gift_share: f32,
}

/// The eight styles are the axes of the hidden taste space: a product's vector leans to its style, its brand's style
/// and a little elsewhere.
pub(crate) const STYLES: [&str; 8] =
    ["minimal", "classic", "bohemian", "sporty", "romantic", "rustic", "playful", "luxe"];

pub(crate) const DEPARTMENTS: [DepartmentWords; 11] = [
    DepartmentWords {
        name: "Women",
        brands: [
            "Alderlane",
            "Maris & Fay",
            "Solvei",
            "Nomadine",
            "Rue Petite",
            "Tidewear",
            "Ochre Hill",
            "Velour Eight",
            "Fenna",
            "Kestrel & Co",
        ],
        style_words: [
            ["Straight", "Clean-Cut", "Seamless"],
            ["Tailored", "Pleated", "Classic"],
            ["Embroidered", "Fringed", "Tie-Dye"],
            ["Stretch", "Active", "Zip-Up"],
            ["Floral", "Ruffled", "Lace-Trim"],
            ["Garment-Washed", "Heritage", "Slub"],
            ["Polka-Dot", "Striped", "Printed"],
            ["Draped", "Pearl-Button", "Bias-Cut"],
        ],
        sentences: [
            "Cut for an easy fit through the shoulders.",
            "True to size; the model wears a medium.",
            "Machine wash at 30 degrees with like colours.",
            "Two side pockets, because every piece should have them.",
            "Pairs well with denim and white sneakers.",
        ],
        gift_share: 0.7,
    },
    DepartmentWords {
        name: "Men",
        brands: [
            "Harrow & Pike",
            "Northgate",
            "Calder",
            "Bram Tailors",
            "Saltmarsh",
            "Ironbark",
            "Tveit",
            "Longacre",
            "Osten",
            "Rook & Rye",
        ],
        style_words: [
            ["Plain", "Slim", "Clean-Cut"],
            ["Tailored", "Button-Down", "Pressed"],
            ["Embroidered", "Batik", "Band-Collar"],
            ["Stretch", "Quick-Dry", "Zip-Up"],
            ["Soft-Washed", "Paisley", "Relaxed"],
            ["Workwear", "Brushed", "Heritage"],
            ["Striped", "Checked", "Printed"],
            ["Fine-Gauge", "Half-Canvas", "Mother-of-Pearl"],
        ],
        sentences: [
            "Regular fit with room to move.",
            "Reinforced seams where work puts them to the test.",
            "Machine wash at 30 degrees, line dry.",
            "Wears in rather than out.",
            "Goes from desk to dinner without a change.",
        ],
        gift_share: 0.7,
    },
    DepartmentWords {
        name: "Shoes",
        brands: [
            "Pacewell",
            "Corvina",
            "Strand & Sole",
            "Hollin",
            "Treadmoor",
            "Ballerio",
            "Kivik Trail",
            "Amber Last",
            "Fieldgate",
            "Suela",
        ],
        style_words: [
            ["Plain-Toe", "Low-Profile", "Tonal"],
            ["Classic", "Brogue", "Stitched"],
            ["Woven", "Beaded", "Fringed"],
            ["Cushioned", "Lightweight", "Grip"],
            ["Bow", "Scalloped", "Ankle-Tie"],
            ["Oiled", "Lug-Sole", "Waxed"],
            ["Colour-Block", "Checked", "Platform"],
            ["Polished", "Pointed", "Gold-Trim"],
        ],
        sentences: [
            "A padded insole carries you through long days.",
            "Rubber outsole with good grip in the wet.",
            "Runs small; take half a size up.",
            "The lining breathes and wicks.",
            "Resoleable, so that a good pair lasts.",
        ],
        gift_share: 0.3,
    },
    DepartmentWords {
        name: "Home",
        brands: [
            "Lindholt",
            "Casa Mira",
            "Oak & Ember",
            "Plainhouse",
            "Duskwool",
            "Terrane",
            "Villa Nord",
            "Hearthside",
            "Morrow",
            "Wickerby",
        ],
        style_words: [
            ["Plain", "Slim", "Matte"],
            ["Classic", "Fluted", "Panelled"],
            ["Tasselled", "Block-Print", "Macrame"],
            ["Foldable", "Modular", "Stackable"],
            ["Floral", "Scalloped", "Lace-Edge"],
            ["Reclaimed", "Handwoven", "Chunky"],
            ["Striped", "Confetti", "Wavy"],
            ["Brass-Trim", "Velvet-Edge", "Hand-Finished"],
        ],
        sentences: [
            "Warms a room without shouting.",
            "Wipe clean with a damp cloth.",
            "Each piece differs a little in grain and tone.",
            "Arrives flat, assembled in minutes.",
            "Made in small runs by people who sign their work.",
        ],
        gift_share: 1.0,
    },
    DepartmentWords {
        name: "Kitchen",
        brands: [
            "Harth",
            "Stovewell",
            "Copperline",
            "Bonne Table",
            "Kniv",
            "Larder Lane",
            "Fornello",
            "Whisk & Wood",
            "Tavola",
            "Emberware",
        ],
        style_words: [
            ["Plain", "Slim", "Matte"],
            ["Classic", "Everyday", "Bistro"],
            ["Hand-Painted", "Terracotta-Rim", "Speckled"],
            ["Stackable", "Travel", "Compact"],
            ["Floral", "Scalloped", "Pastel"],
            ["Farmhouse", "Hammered", "Rustic"],
            ["Striped", "Two-Tone", "Dotted"],
            ["Chef's", "Gold-Rim", "Professional"],
        ],
        sentences: [
            "Works on gas, ceramic and induction.",
            "Dishwasher safe, though it thanks you for a hand wash.",
            "Heats evenly to the edge.",
            "Balanced, so the wrist does not tire.",
            "Nests with its siblings to save a shelf.",
        ],
        gift_share: 1.1,
    },
    DepartmentWords {
        name: "Garden",
        brands: [
            "Greenholm",
            "Spade & Sparrow",
            "Verdano",
            "Hedgerow",
            "Potter's Yard",
            "Sunpatch",
            "Old Orchard",
            "Rainbarrel",
            "Thornby",
            "Meadowcraft",
        ],
        style_words: [
            ["Plain", "Slim", "Square"],
            ["Classic", "Victorian", "Traditional"],
            ["Mosaic", "Woven", "Moroccan"],
            ["Foldable", "Lightweight", "Telescopic"],
            ["Cottage", "Rose", "Scalloped"],
            ["Weathered", "Rustic", "Forged"],
            ["Bright", "Striped", "Sunny"],
            ["Estate", "Polished", "Grand"],
        ],
        sentences: [
            "Stands frost down to minus fifteen.",
            "Gentle on the back and on the beds.",
            "Drains well; roots stay dry.",
            "Treated with linseed oil, nothing else.",
            "Packs small for the winter.",
        ],
        gift_share: 0.3,
    },
    DepartmentWords {
        name: "Toys",
        brands: [
            "Tumbletop",
            "Bricolo",
            "Little Heron",
            "Foxglove Toys",
            "Wonderwick",
            "Pippin & Sons",
            "Klotz",
            "Marble Lane",
            "Zibbo",
            "Paperboat",
        ],
        style_words: [
            ["Natural", "Pastel", "First"],
            ["Classic", "Traditional", "Heirloom"],
            ["Rainbow", "Felted", "Folk"],
            ["Outdoor", "Speedy", "Adventure"],
            ["Fairy-Tale", "Enchanted", "Unicorn"],
            ["Woodland", "Farmyard", "Hand-Carved"],
            ["Giggling", "Jumbo", "Silly"],
            ["Collector's", "Deluxe", "Royal"],
        ],
        sentences: [
            "Rounded edges and water-based paint.",
            "For children from three years.",
            "Keeps small hands busy for whole afternoons.",
            "Grows with the child: simple first, tricky later.",
            "Comes in a box that is a toy too.",
        ],
        gift_share: 3.0,
    },
    DepartmentWords {
        name: "Electronics",
        brands: [
            "Voltane",
            "Arkon",
            "Lumitek",
            "Sonora Labs",
            "Bytehaven",
            "Kairo",
            "Nimbus One",
            "Ferrite",
            "Pixelmoor",
            "Wavecrest",
        ],
        style_words: [
            ["Slim", "Mini", "Pure"],
            ["Essential", "Classic", "Office"],
            ["Retro", "Woven", "Vinyl"],
            ["Rugged", "Sport", "Travel"],
            ["Rose", "Soft-Touch", "Pastel"],
            ["Walnut", "Field", "Analogue"],
            ["Neon", "Gaming", "Glow"],
            ["Pro", "Studio", "Signature"],
        ],
        sentences: [
            "Charges over USB-C, cable included.",
            "Two years of warranty, spare parts for seven.",
            "Pairs in seconds and stays paired.",
            "Runs a working week on one charge.",
            "Updates arrive by themselves, at night.",
        ],
        gift_share: 2.0,
    },
    DepartmentWords {
        name: "Beauty",
        brands: [
            "Calendra",
            "Mosswater",
            "Ilya Skin",
            "Bloom Theory",
            "Saltlight",
            "Nuit Blanche",
            "Pure Parcel",
            "Fig & Fern",
            "Oleander",
            "Sudsmith",
        ],
        style_words: [
            ["Pure", "Unscented", "Gentle"],
            ["Daily", "Classic", "Nourishing"],
            ["Sandalwood", "Patchouli", "Argan"],
            ["Sport", "Cooling", "Refreshing"],
            ["Rose", "Peony", "Jasmine"],
            ["Oat", "Herbal", "Clay"],
            ["Sparkling", "Tutti-Frutti", "Bubbly"],
            ["Gold", "Night Repair", "Caviar-Lime"],
        ],
        sentences: [
            "Dermatologically tested, kind to sensitive skin.",
            "Free of mineral oil and microplastics.",
            "A little goes a long way.",
            "Refill pouches save most of the plastic.",
            "Leaves no film and no white cast.",
        ],
        gift_share: 1.5,
    },
    DepartmentWords {
        name: "Sports",
        brands: [
            "Summitry",
            "Rivulet",
            "Strade",
            "Corepoint",
            "Boulderwick",
            "Tarn",
            "Velomar",
            "Kitefield",
            "Pulse Nine",
            "Outland",
        ],
        style_words: [
            ["Slim", "Light", "Essential"],
            ["Club", "Classic", "Training"],
            ["Hemp", "Sunrise", "Cork"],
            ["Race", "Pro", "Endurance"],
            ["Soft", "Flow", "Balance"],
            ["Trail", "Expedition", "Canvas"],
            ["Colour-Pop", "Street", "Fun"],
            ["Carbon", "Elite", "Summit"],
        ],
        sentences: [
            "Tested by people who are out every weekend.",
            "Dries fast and keeps its shape.",
            "Weighs less than it looks.",
            "Repair kit in the box.",
            "Reflective details for the dark months.",
        ],
        gift_share: 0.8,
    },
    DepartmentWords {
        name: "Pantry",
        brands: [
            "Millers' Row",
            "Solano",
            "Bergtal",
            "Copper Kettle",
            "Orchard End",
            "Pasta Fiore",
            "Sel & Sucre",
            "Greenacre",
            "Roast Office",
            "Tidepool",
        ],
        style_words: [
            ["Pure", "Simple", "Unsalted"],
            ["Traditional", "House", "Original"],
            ["Spiced", "Masala", "Saffron"],
            ["Protein", "Energy", "High-Fibre"],
            ["Honey", "Elderflower", "Wild Berry"],
            ["Farmhouse", "Stone-Ground", "Smoked"],
            ["Party", "Rainbow", "Crunchy"],
            ["Reserve", "Truffle", "Single-Estate"],
        ],
        sentences: [
            "Packed where it is grown.",
            "Keeps a year in a cool, dark place.",
            "No additives, no added sugar.",
            "Our cooks use it at home.",
            "Fairly paid, traceable to the farm.",
        ],
        gift_share: 0.5,
    },
];

#[derive(Debug, Clone, Copy)]
pub(crate) struct Colour {
    pub(crate) name: &'static str,
    /// The plain word people search by.
    pub(crate) family: &'static str,
}

const fn colour(name: &'static str, family: &'static str) -> Colour {
    Colour { name, family }
}

pub(crate) const COLOURS: [Colour; 20] = [
    colour("Black", "black"),
    colour("Ivory", "white"),
    colour("Navy", "blue"),
    colour("Sage", "green"),
    colour("Terracotta", "orange"),
    colour("Charcoal", "grey"),
    colour("Sand", "beige"),
    colour("Rust", "red"),
    colour("Sky", "blue"),
    colour("Blush", "pink"),
    colour("Olive", "green"),
    colour("Mustard", "yellow"),
    colour("Burgundy", "red"),
    colour("Teal", "green"),
    colour("Lilac", "purple"),
    colour("Cream", "white"),
    colour("Cobalt", "blue"),
    colour("Graphite", "grey"),
    colour("Coral", "pink"),
    colour("Chestnut", "brown"),
];

pub(crate) const PATTERNS: [&str; 5] = ["solid", "striped", "floral", "checked", "dotted"];

/// Countries of origin.
pub(crate) const ORIGINS: [&str; 8] =
    ["Portugal", "Germany", "Italy", "Japan", "India", "United Kingdom", "Sweden", "Vietnam"];

/// Series names, used where two products would be called the same.
pub(crate) const SERIES: [&str; 40] = [
    "Alba", "Nora", "Juno", "Elio", "Marlow", "Tess", "Iris", "Otto", "Lune", "Vega", "Sol", "Ada", "Bruno", "Clio",
    "Dara", "Enzo", "Freya", "Gale", "Hugo", "Ines", "Jasper", "Kaia", "Leif", "Mila", "Nils", "Opal", "Pax", "Quinn",
    "Remy", "Sora", "Tilde", "Uma", "Viggo", "Wren", "Xenia", "Yara", "Zeno", "Astrid", "Basil", "Coraline",
];

/// How the variants of a product differ.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Range {
    /// Sizes; the colour stands in the name.
    Sizes(&'static [&'static str]),
    /// Two to four colours; the name has none.
    Colours,
    /// One variant with a colour in its name.
    Coloured,
    /// One variant, no colour.
    One,
}

const LETTERS: Range = Range::Sizes(&["XS", "S", "M", "L", "XL"]);
const WAISTS: Range = Range::Sizes(&["28", "30", "32", "34", "36", "38"]);
const FEET: Range = Range::Sizes(&["37", "38", "39", "40", "41", "42", "43", "44", "45"]);
const BEDS: Range = Range::Sizes(&["135 x 200", "155 x 220", "200 x 200"]);
const COLOURS_OF: Range = Range::Colours;
const COLOURED: Range = Range::Coloured;
const ONE: Range = Range::One;

/// A kind of product: one leaf of the category tree.
#[derive(Debug)]
pub struct Kind {
    pub department: Department,
    pub(crate) group: &'static str,
    pub(crate) shelf: &'static str,
    /// Median price in major units of the first market's currency.
    pub(crate) price: f32,
    /// How often it is wanted, relative to other kinds.
    pub(crate) demand: f32,
    pub(crate) season: Season,
    pub(crate) range: Range,
    /// Share of purchased units that come back.
    pub(crate) return_rate: f32,
    pub(crate) nouns: &'static [&'static str],
    pub(crate) materials: &'static [&'static str],
    /// Sizes that stand in the name ("26 cm"); empty where there are none.
    pub(crate) measures: &'static [&'static str],
}

macro_rules! kinds {
    ($($department:ident $group:literal / $shelf:literal:
       $price:literal, $demand:literal, $season:ident, $range:ident, $returns:literal;
       [$($noun:literal),*] [$($material:literal),*] [$($measure:literal),*])*) => {
        /// Every kind; its place in this table is its number.
        pub static KINDS: &[Kind] = &[$(Kind {
            department: Department::$department,
            group: $group,
            shelf: $shelf,
            price: $price,
            demand: $demand,
            season: $season,
            range: $range,
            return_rate: $returns,
            nouns: &[$($noun),*],
            materials: &[$($material),*],
            measures: &[$($measure),*],
        }),*];
    };
}

kinds! {
    Women "Clothing" / "Dresses": 69.0, 1.5, Summer, LETTERS, 0.30;
        ["Wrap Dress", "Midi Dress", "Shirt Dress", "Slip Dress", "Smock Dress"] ["Linen", "Cotton", "Viscose", "Silk"] []
    Women "Clothing" / "Blouses": 45.0, 1.1, AllYear, LETTERS, 0.22;
        ["Blouse", "Wrap Top", "Tunic", "Camisole"] ["Cotton", "Silk", "Linen", "Crepe"] []
    Women "Clothing" / "Women's Knitwear": 65.0, 1.0, Winter, LETTERS, 0.20;
        ["Cardigan", "Roll-Neck Jumper", "Crew-Neck Jumper", "Knit Vest"] ["Merino", "Cashmere", "Alpaca", "Cotton"] []
    Women "Clothing" / "Women's Jeans": 75.0, 1.0, AllYear, WAISTS, 0.32;
        ["Wide-Leg Jeans", "Slim Jeans", "Mom Jeans", "Cropped Jeans"] ["Organic Denim", "Comfort Denim", "Raw Denim"] []
    Women "Clothing" / "Skirts": 49.0, 0.8, Summer, LETTERS, 0.24;
        ["Midi Skirt", "A-Line Skirt", "Maxi Skirt", "Mini Skirt"] ["Linen", "Cotton", "Wool", "Satin"] []
    Women "Clothing" / "Women's Coats": 149.0, 0.7, Winter, LETTERS, 0.26;
        ["Trench Coat", "Wool Coat", "Puffer Coat", "Cape"] ["Wool", "Gabardine", "Recycled Nylon"] []
    Women "Accessories" / "Handbags": 95.0, 0.8, Gifts, COLOURED, 0.12;
        ["Tote Bag", "Crossbody Bag", "Bucket Bag", "Clutch"] ["Leather", "Canvas", "Vegan Leather", "Straw"] []
    Women "Accessories" / "Women's Belts": 29.0, 0.5, AllYear, COLOURED, 0.10;
        ["Waist Belt", "Braided Belt", "Buckle Belt"] ["Leather", "Suede", "Canvas"] []
    Women "Accessories" / "Scarves": 35.0, 0.7, Winter, COLOURS_OF, 0.08;
        ["Scarf", "Shawl", "Bandana"] ["Silk", "Merino", "Cotton", "Cashmere"] []
    Women "Accessories" / "Jewellery": 42.0, 0.9, Gifts, ONE, 0.07;
        ["Hoop Earrings", "Pendant Necklace", "Signet Ring", "Chain Bracelet", "Stud Earrings"] ["Silver", "Gold-Plated", "Brass", "Pearl"] []

    Men "Clothing" / "Shirts": 55.0, 1.3, AllYear, LETTERS, 0.18;
        ["Oxford Shirt", "Overshirt", "Linen Shirt", "Flannel Shirt"] ["Cotton", "Twill", "Poplin", "Chambray"] []
    Men "Clothing" / "T-Shirts": 25.0, 1.3, Summer, LETTERS, 0.12;
        ["T-Shirt", "Henley", "Polo Shirt", "Pocket Tee"] ["Organic Cotton", "Pima Cotton", "Hemp", "Merino"] []
    Men "Clothing" / "Men's Knitwear": 69.0, 0.9, Winter, LETTERS, 0.16;
        ["Fisherman Jumper", "Crew-Neck Jumper", "Zip Cardigan", "Slipover"] ["Lambswool", "Merino", "Cotton"] []
    Men "Clothing" / "Trousers": 69.0, 1.0, AllYear, WAISTS, 0.24;
        ["Chinos", "Cargo Trousers", "Pleated Trousers", "Cord Trousers"] ["Cotton Twill", "Wool", "Linen", "Corduroy"] []
    Men "Clothing" / "Men's Jeans": 79.0, 1.0, AllYear, WAISTS, 0.24;
        ["Straight Jeans", "Tapered Jeans", "Relaxed Jeans"] ["Selvedge Denim", "Comfort Denim", "Organic Denim"] []
    Men "Clothing" / "Men's Jackets": 139.0, 0.8, Autumn, LETTERS, 0.20;
        ["Chore Jacket", "Bomber Jacket", "Parka", "Field Jacket"] ["Waxed Cotton", "Wool", "Canvas", "Recycled Nylon"] []
    Men "Accessories" / "Ties": 32.0, 0.4, Gifts, COLOURED, 0.06;
        ["Tie", "Bow Tie", "Knit Tie"] ["Silk", "Wool", "Linen"] []
    Men "Accessories" / "Men's Belts": 35.0, 0.5, Gifts, COLOURED, 0.10;
        ["Dress Belt", "Webbing Belt", "Work Belt"] ["Leather", "Canvas", "Bridle Leather"] []
    Men "Accessories" / "Wallets": 39.0, 0.5, Gifts, COLOURED, 0.05;
        ["Bifold Wallet", "Card Holder", "Travel Wallet"] ["Leather", "Cork", "Vegan Leather"] []
    Men "Underwear" / "Socks": 12.0, 0.9, AllYear, COLOURS_OF, 0.03;
        ["Crew Socks", "Ankle Socks", "Boot Socks"] ["Cotton", "Merino", "Bamboo"] ["2-Pack", "3-Pack", "5-Pack"]

    Shoes "Casual" / "Sneakers": 89.0, 1.5, AllYear, FEET, 0.24;
        ["Sneaker", "Court Sneaker", "Slip-On", "High-Top"] ["Leather", "Canvas", "Suede", "Knit"] []
    Shoes "Casual" / "Sandals": 59.0, 0.9, Summer, FEET, 0.20;
        ["Sandal", "Slide", "Espadrille", "Clog"] ["Leather", "Cork", "Jute", "Suede"] []
    Shoes "Boots" / "Ankle Boots": 129.0, 1.0, Autumn, FEET, 0.22;
        ["Chelsea Boot", "Ankle Boot", "Desert Boot", "Lace-Up Boot"] ["Leather", "Suede", "Nubuck"] []
    Shoes "Boots" / "Winter Boots": 139.0, 0.6, Winter, FEET, 0.18;
        ["Snow Boot", "Hiking Boot", "Duck Boot"] ["Nubuck", "Leather", "Rubber"] []
    Shoes "Formal" / "Dress Shoes": 149.0, 0.6, AllYear, FEET, 0.22;
        ["Derby Shoe", "Oxford Shoe", "Loafer", "Pump", "Ballet Flat"] ["Calf Leather", "Patent Leather", "Suede"] []
    Shoes "Care" / "Shoe Care": 14.0, 0.4, AllYear, ONE, 0.02;
        ["Shoe Cream", "Care Kit", "Waterproofing Spray", "Shoe Tree"] ["Beeswax", "Cedar", "Carnauba"] ["50 ml", "75 ml", "200 ml"]

    Home "Textiles" / "Bed Linen": 79.0, 1.0, AllYear, BEDS, 0.10;
        ["Duvet Cover Set", "Bed Sheet", "Bedspread"] ["Percale", "Linen", "Sateen", "Flannel"] []
    Home "Textiles" / "Cushions": 29.0, 1.0, AllYear, COLOURS_OF, 0.08;
        ["Cushion Cover", "Floor Cushion", "Bolster"] ["Velvet", "Linen", "Cotton", "Boucle"] ["40 x 40", "50 x 50", "60 x 40"]
    Home "Textiles" / "Throws": 55.0, 0.8, Winter, COLOURED, 0.08;
        ["Throw", "Blanket", "Quilt"] ["Wool", "Cotton", "Mohair", "Recycled Wool"] []
    Home "Textiles" / "Rugs": 149.0, 0.6, AllYear, COLOURED, 0.14;
        ["Rug", "Runner", "Round Rug"] ["Jute", "Wool", "Cotton"] ["80 x 150", "120 x 180", "160 x 230"]
    Home "Textiles" / "Towels": 24.0, 0.9, AllYear, COLOURS_OF, 0.05;
        ["Bath Towel", "Hand Towel", "Bath Mat"] ["Organic Cotton", "Waffle Cotton", "Linen"] []
    Home "Lighting" / "Lamps": 89.0, 0.9, Autumn, COLOURED, 0.09;
        ["Table Lamp", "Floor Lamp", "Pendant Lamp", "Wall Lamp"] ["Ceramic", "Rattan", "Brass", "Paper"] []
    Home "Lighting" / "Light Bulbs": 9.0, 0.7, Autumn, ONE, 0.03;
        ["Filament Bulb", "Globe Bulb", "Candle Bulb"] ["Clear", "Amber", "Opal"] ["4 W", "6 W", "8 W"]
    Home "Decoration" / "Vases": 35.0, 0.8, Spring, COLOURED, 0.06;
        ["Vase", "Bud Vase", "Pitcher Vase"] ["Stoneware", "Glass", "Porcelain", "Terracotta"] ["15 cm", "22 cm", "30 cm"]
    Home "Decoration" / "Candles": 22.0, 1.0, Gifts, ONE, 0.02;
        ["Scented Candle", "Pillar Candle", "Taper Candles"] ["Soy Wax", "Beeswax", "Rapeseed Wax"] ["180 g", "300 g", "450 g"]
    Home "Decoration" / "Picture Frames": 25.0, 0.6, Gifts, COLOURED, 0.05;
        ["Picture Frame", "Gallery Frame", "Photo Ledge"] ["Oak", "Walnut", "Aluminium"] ["13 x 18", "21 x 30", "30 x 40"]
    Home "Furniture" / "Side Tables": 119.0, 0.5, AllYear, COLOURED, 0.08;
        ["Side Table", "Stool", "Nesting Tables", "Console Table"] ["Oak", "Walnut", "Steel", "Marble"] []
    Home "Furniture" / "Shelves": 139.0, 0.5, AllYear, COLOURED, 0.08;
        ["Wall Shelf", "Ladder Shelf", "Bookcase"] ["Oak", "Pine", "Steel", "Bamboo"] ["60 cm", "90 cm", "120 cm"]

    Kitchen "Cookware" / "Skillets": 59.0, 1.0, AllYear, ONE, 0.05;
        ["Skillet", "Frying Pan", "Grill Pan", "Saute Pan"] ["Cast-Iron", "Carbon-Steel", "Stainless-Steel", "Ceramic"] ["20 cm", "24 cm", "26 cm", "28 cm"]
    Kitchen "Cookware" / "Pan Lids": 22.0, 0.3, AllYear, ONE, 0.04;
        ["Lid", "Splatter Lid", "Dome Lid"] ["Glass", "Cast-Iron", "Silicone"] ["20 cm", "24 cm", "26 cm", "28 cm"]
    Kitchen "Cookware" / "Pots": 89.0, 0.8, Autumn, COLOURED, 0.05;
        ["Dutch Oven", "Stock Pot", "Saucepan", "Casserole"] ["Enamelled", "Stainless-Steel", "Copper"] ["2 l", "4 l", "6 l"]
    Kitchen "Knives" / "Kitchen Knives": 65.0, 0.8, Gifts, ONE, 0.04;
        ["Chef's Knife", "Paring Knife", "Bread Knife", "Santoku Knife"] ["Damascus", "Carbon-Steel", "Stainless-Steel"] ["9 cm", "17 cm", "20 cm"]
    Kitchen "Knives" / "Chopping Boards": 39.0, 0.6, AllYear, ONE, 0.04;
        ["Chopping Board", "Bread Board", "Carving Board"] ["Acacia", "Maple", "Bamboo", "Olive Wood"] ["30 cm", "40 cm", "50 cm"]
    Kitchen "Tableware" / "Plates": 19.0, 0.9, AllYear, COLOURED, 0.06;
        ["Dinner Plate", "Side Plate", "Pasta Bowl", "Cereal Bowl"] ["Stoneware", "Porcelain", "Earthenware"] []
    Kitchen "Tableware" / "Mugs": 14.0, 1.0, Gifts, COLOURS_OF, 0.04;
        ["Mug", "Espresso Cup", "Latte Cup"] ["Stoneware", "Porcelain", "Enamel"] ["100 ml", "250 ml", "350 ml"]
    Kitchen "Tableware" / "Glasses": 24.0, 0.7, Gifts, ONE, 0.06;
        ["Wine Glass", "Tumbler", "Carafe", "Champagne Flute"] ["Crystal", "Recycled Glass", "Borosilicate"] ["Set of 2", "Set of 4", "Set of 6"]
    Kitchen "Baking" / "Bakeware": 27.0, 0.7, Winter, ONE, 0.04;
        ["Springform Tin", "Loaf Tin", "Muffin Tray", "Pie Dish"] ["Steel", "Silicone", "Stoneware"] ["20 cm", "24 cm", "26 cm"]
    Kitchen "Coffee" / "Coffee Makers": 49.0, 0.7, Gifts, ONE, 0.06;
        ["French Press", "Moka Pot", "Pour-Over Dripper", "Hand Grinder"] ["Glass", "Steel", "Ceramic"] ["2 Cups", "4 Cups", "6 Cups"]
    Kitchen "Coffee" / "Coffee Filters": 6.0, 0.5, AllYear, ONE, 0.01;
        ["Paper Filters", "Cone Filters"] ["Unbleached", "Bamboo", "White"] ["40 Pack", "80 Pack", "100 Pack"]

    Garden "Plants" / "Seeds": 4.0, 1.2, Spring, ONE, 0.01;
        ["Tomato Seeds", "Basil Seeds", "Sunflower Seeds", "Sweet Pea Seeds", "Carrot Seeds"] ["Heirloom", "Bee-Friendly", "Early", "Dwarf"] []
    Garden "Plants" / "Planters": 32.0, 1.0, Spring, COLOURED, 0.05;
        ["Planter", "Window Box", "Hanging Pot", "Plant Stand"] ["Terracotta", "Zinc", "Fibre-Clay", "Oak"] ["15 cm", "25 cm", "40 cm"]
    Garden "Plants" / "Potting Soil": 12.0, 0.6, Spring, ONE, 0.01;
        ["Potting Soil", "Seed Compost", "Cactus Mix"] ["Peat-Free", "Coconut", "Organic"] ["10 l", "20 l", "40 l"]
    Garden "Tools" / "Hand Tools": 25.0, 0.8, Spring, ONE, 0.04;
        ["Trowel", "Pruning Shears", "Hand Fork", "Dibber"] ["Ash-Handled", "Stainless-Steel", "Forged"] []
    Garden "Tools" / "Watering": 35.0, 0.7, Outdoors, COLOURED, 0.05;
        ["Watering Can", "Garden Hose", "Plant Mister"] ["Galvanised", "Copper", "Recycled"] ["1 l", "5 l", "9 l"]
    Garden "Outdoor Living" / "Garden Furniture": 189.0, 0.6, Outdoors, COLOURED, 0.08;
        ["Lounge Chair", "Bistro Table", "Garden Bench", "Hammock"] ["Teak", "Acacia", "Steel", "Rattan"] []
    Garden "Outdoor Living" / "Barbecues": 149.0, 0.6, Outdoors, ONE, 0.05;
        ["Kettle Barbecue", "Fire Bowl", "Table Grill"] ["Steel", "Cast-Iron", "Enamelled"] ["37 cm", "47 cm", "57 cm"]
    Garden "Outdoor Living" / "Charcoal": 11.0, 0.4, Outdoors, ONE, 0.01;
        ["Lump Charcoal", "Briquettes", "Firelighters"] ["Beech", "Coconut", "Oak"] ["2 kg", "4 kg", "8 kg"]

    Toys "Building" / "Building Blocks": 39.0, 1.1, Gifts, ONE, 0.04;
        ["Block Set", "Marble Run", "Construction Kit", "Castle Set"] ["Wooden", "Magnetic", "Cork"] ["50 Pieces", "100 Pieces", "200 Pieces"]
    Toys "Pretend Play" / "Dolls": 35.0, 0.8, Gifts, ONE, 0.04;
        ["Doll", "Rag Doll", "Puppet", "Doll's House"] ["Cotton", "Wooden", "Felt"] ["25 cm", "35 cm", "45 cm"]
    Toys "Pretend Play" / "Doll Clothes": 16.0, 0.4, Gifts, COLOURED, 0.04;
        ["Doll's Coat", "Doll's Dress", "Doll's Pyjamas"] ["Cotton", "Knitted", "Felt"] []
    Toys "Games" / "Board Games": 32.0, 1.1, Gifts, ONE, 0.03;
        ["Board Game", "Card Game", "Memory Game", "Strategy Game"] ["Harbour", "Jungle", "Castle", "Galaxy", "Bakery"] ["2-4 Players", "2-6 Players"]
    Toys "Games" / "Puzzles": 19.0, 0.9, Gifts, ONE, 0.03;
        ["Puzzle", "Floor Puzzle", "3D Puzzle"] ["Lighthouse", "Rainforest", "Old Town", "Space", "Orchard"] ["24 Pieces", "100 Pieces", "500 Pieces", "1000 Pieces"]
    Toys "Soft Toys" / "Plush": 22.0, 0.9, Gifts, ONE, 0.04;
        ["Bear", "Rabbit", "Elephant", "Fox", "Dragon", "Otter"] ["Plush", "Organic Cotton", "Corduroy"] ["20 cm", "30 cm", "50 cm"]
    Toys "Outdoor" / "Outdoor Toys": 45.0, 0.7, Summer, COLOURED, 0.05;
        ["Balance Bike", "Kite", "Sandbox Set", "Scooter"] ["Wooden", "Recycled", "Steel"] []
    Toys "Creative" / "Craft Kits": 18.0, 0.9, School, ONE, 0.02;
        ["Craft Kit", "Paint Set", "Bead Set", "Modelling Clay"] ["Beginner", "Watercolour", "Natural"] []

    Electronics "Audio" / "Headphones": 119.0, 1.2, Gifts, COLOURED, 0.08;
        ["Wireless Earbuds", "Over-Ear Headphones", "On-Ear Headphones"] ["Aluminium", "Recycled", "Noise-Cancelling"] []
    Electronics "Audio" / "Speakers": 99.0, 0.8, Gifts, COLOURED, 0.07;
        ["Bluetooth Speaker", "Bookshelf Speaker", "Shower Speaker"] ["Fabric", "Bamboo", "Aluminium"] ["5 W", "10 W", "20 W"]
    Electronics "Mobile" / "Phones": 449.0, 0.8, Gifts, COLOURED, 0.06;
        ["Smartphone", "Compact Phone", "Folding Phone"] ["Glass", "Titanium", "Recycled"] ["64 GB", "128 GB", "256 GB"]
    Electronics "Mobile" / "Phone Cases": 24.0, 0.8, AllYear, COLOURS_OF, 0.06;
        ["Phone Case", "Wallet Case", "Bumper Case"] ["Silicone", "Leather", "Cork"] []
    Electronics "Mobile" / "Chargers": 29.0, 0.9, AllYear, ONE, 0.05;
        ["Wall Charger", "Wireless Charger", "Power Bank"] ["GaN", "Magnetic", "Solar"] ["20 W", "45 W", "65 W"]
    Electronics "Mobile" / "Cables": 12.0, 0.8, AllYear, COLOURS_OF, 0.03;
        ["USB-C Cable", "Charging Cable", "Adapter Cable"] ["Braided", "Recycled", "Coiled"] ["1 m", "2 m", "3 m"]
    Electronics "Computing" / "Keyboards": 89.0, 0.7, School, COLOURED, 0.08;
        ["Keyboard", "Mechanical Keyboard", "Number Pad"] ["Aluminium", "Wireless", "Wooden"] []
    Electronics "Computing" / "Mice": 45.0, 0.6, School, COLOURED, 0.07;
        ["Mouse", "Vertical Mouse", "Trackball"] ["Wireless", "Recycled", "Silent"] []
    Electronics "Wearables" / "Watches": 179.0, 0.8, Gifts, COLOURED, 0.08;
        ["Smartwatch", "Fitness Tracker", "Running Watch"] ["Steel", "Aluminium", "Silicone"] ["38 mm", "42 mm", "46 mm"]
    Electronics "Photo" / "Cameras": 389.0, 0.4, Summer, COLOURED, 0.06;
        ["Instant Camera", "Action Camera", "Compact Camera"] ["Waterproof", "Aluminium", "4K"] []
    Electronics "Photo" / "Camera Film": 17.0, 0.3, Summer, ONE, 0.01;
        ["Instant Film", "Memory Card", "Colour Film"] ["Fast", "Twin", "Classic"] ["10 Shots", "20 Shots", "40 Shots"]

    Beauty "Face" / "Face Cream": 28.0, 1.0, Winter, ONE, 0.03;
        ["Face Cream", "Night Cream", "Day Cream", "Eye Cream"] ["Hyaluron", "Shea", "Squalane"] ["30 ml", "50 ml"]
    Beauty "Face" / "Cleansers": 16.0, 0.9, AllYear, ONE, 0.02;
        ["Cleansing Gel", "Micellar Water", "Cleansing Balm"] ["Aloe", "Green Tea", "Charcoal"] ["150 ml", "200 ml"]
    Beauty "Face" / "Sun Care": 19.0, 0.7, Summer, ONE, 0.02;
        ["Sun Cream", "After-Sun Lotion", "Sun Stick"] ["Mineral", "Aloe", "Sensitive"] ["SPF 30", "SPF 50"]
    Beauty "Hair" / "Shampoo": 12.0, 1.1, AllYear, ONE, 0.01;
        ["Shampoo", "Shampoo Bar", "Volume Shampoo"] ["Nettle", "Keratin", "Coconut"] ["100 g", "250 ml", "500 ml"]
    Beauty "Hair" / "Conditioner": 13.0, 0.7, AllYear, ONE, 0.01;
        ["Conditioner", "Hair Mask", "Leave-In Conditioner"] ["Argan", "Coconut", "Keratin"] ["200 ml", "250 ml", "500 ml"]
    Beauty "Make-Up" / "Lipstick": 19.0, 0.8, Gifts, COLOURED, 0.05;
        ["Lipstick", "Lip Tint", "Lip Gloss"] ["Matte", "Satin", "Vegan"] []
    Beauty "Make-Up" / "Mascara": 17.0, 0.6, AllYear, ONE, 0.04;
        ["Mascara", "Brow Gel", "Eyeliner"] ["Volume", "Waterproof", "Lengthening"] []
    Beauty "Body" / "Soap": 8.0, 0.9, AllYear, ONE, 0.01;
        ["Hand Soap", "Soap Bar", "Shower Gel"] ["Olive", "Lemon", "Lavender"] ["100 g", "300 ml", "500 ml"]
    Beauty "Fragrance" / "Perfume": 69.0, 0.7, Gifts, ONE, 0.04;
        ["Eau de Parfum", "Eau de Toilette", "Perfume Oil"] ["Cedar", "Citrus", "Amber", "Fig"] ["10 ml", "50 ml", "100 ml"]

    Sports "Yoga" / "Yoga Mats": 49.0, 0.8, Winter, COLOURED, 0.05;
        ["Yoga Mat", "Travel Mat", "Pilates Mat"] ["Cork", "Natural Rubber", "Jute"] ["3 mm", "4 mm", "6 mm"]
    Sports "Yoga" / "Yoga Blocks": 16.0, 0.4, Winter, COLOURS_OF, 0.03;
        ["Yoga Block", "Yoga Strap", "Bolster Pillow"] ["Cork", "Foam", "Cotton"] []
    Sports "Fitness" / "Weights": 45.0, 0.7, Winter, ONE, 0.03;
        ["Kettlebell", "Dumbbell Pair", "Resistance Band"] ["Cast-Iron", "Neoprene", "Latex"] ["4 kg", "8 kg", "12 kg", "16 kg"]
    Sports "Running" / "Running Wear": 45.0, 1.0, Spring, LETTERS, 0.18;
        ["Running Shirt", "Running Tights", "Running Shorts", "Wind Vest"] ["Recycled", "Merino", "Mesh"] []
    Sports "Running" / "Water Bottles": 24.0, 0.9, Outdoors, COLOURED, 0.03;
        ["Water Bottle", "Flask", "Soft Flask"] ["Steel", "Tritan", "Titanium"] ["500 ml", "750 ml", "1 l"]
    Sports "Camping" / "Tents": 249.0, 0.5, Outdoors, COLOURED, 0.07;
        ["Dome Tent", "Tunnel Tent", "Tarp"] ["Ripstop", "Polycotton", "Silnylon"] ["1 Person", "2 Persons", "4 Persons"]
    Sports "Camping" / "Sleeping Mats": 79.0, 0.4, Outdoors, ONE, 0.05;
        ["Sleeping Mat", "Sleeping Bag", "Camping Pillow"] ["Down", "Foam", "Inflatable"] []
    Sports "Cycling" / "Bike Gear": 59.0, 0.7, Outdoors, COLOURED, 0.06;
        ["Bike Light", "Pannier Bag", "Cycling Gloves", "Bike Helmet"] ["Waterproof", "Reflective", "Recycled"] []
    Sports "Outdoor" / "Backpacks": 89.0, 0.8, School, COLOURED, 0.08;
        ["Backpack", "Daypack", "Duffel Bag"] ["Canvas", "Recycled", "Ripstop"] ["18 l", "25 l", "40 l"]

    Pantry "Coffee & Tea" / "Coffee": 13.0, 1.5, AllYear, ONE, 0.005;
        ["Espresso Beans", "Filter Coffee", "Decaf Coffee", "Ground Coffee"] ["Ethiopian", "Colombian", "Guatemalan", "Sumatran"] ["250 g", "500 g", "1 kg"]
    Pantry "Coffee & Tea" / "Tea": 9.0, 0.9, Winter, ONE, 0.005;
        ["Green Tea", "Black Tea", "Herbal Tea", "Rooibos"] ["Loose-Leaf", "Darjeeling", "Assam", "Mountain"] ["50 g", "100 g", "20 Bags"]
    Pantry "Larder" / "Pasta": 4.0, 1.0, AllYear, ONE, 0.005;
        ["Spaghetti", "Penne", "Fusilli", "Tagliatelle"] ["Durum", "Wholegrain", "Spelt", "Red Lentil"] ["400 g", "500 g", "1 kg"]
    Pantry "Larder" / "Sauces": 6.0, 0.8, AllYear, ONE, 0.005;
        ["Tomato Sauce", "Basil Pesto", "Arrabbiata Sauce", "Curry Paste"] ["San Marzano", "Roasted", "Garden"] ["180 g", "340 g", "500 g"]
    Pantry "Larder" / "Olive Oil": 15.0, 0.9, AllYear, ONE, 0.005;
        ["Olive Oil", "Balsamic Vinegar", "Rapeseed Oil"] ["Cold-Pressed", "Unfiltered", "Aged"] ["250 ml", "500 ml", "1 l"]
    Pantry "Larder" / "Spices": 5.0, 0.8, Autumn, ONE, 0.005;
        ["Black Pepper", "Paprika", "Cinnamon", "Curry Powder", "Sea Salt"] ["Whole", "Ground", "Flaked"] ["40 g", "80 g", "150 g"]
    Pantry "Snacks" / "Chocolate": 5.0, 1.2, Gifts, ONE, 0.005;
        ["Dark Chocolate", "Milk Chocolate", "Pralines", "Cocoa Nibs"] ["Hazelnut", "Sea Salt", "Orange", "Almond"] ["70 g", "100 g", "200 g"]
    Pantry "Snacks" / "Nuts": 7.0, 0.8, AllYear, ONE, 0.005;
        ["Almonds", "Cashews", "Trail Mix", "Walnuts"] ["Roasted", "Raw", "Salted"] ["150 g", "250 g", "500 g"]
    Pantry "Household" / "Cleaning": 6.0, 0.9, AllYear, ONE, 0.005;
        ["Washing-Up Liquid", "Laundry Detergent", "All-Purpose Cleaner", "Dishwasher Tablets"] ["Lemon", "Eucalyptus", "Sensitive"] ["500 ml", "1 l", "40 Pack"]
    Pantry "Pets" / "Pet Food": 19.0, 0.8, AllYear, ONE, 0.005;
        ["Dog Food", "Cat Food", "Dog Treats", "Cat Treats"] ["Chicken", "Salmon", "Lamb", "Duck"] ["400 g", "2 kg", "6 kg"]
}

/// Kinds that run out, with the usual days until they are bought again.
pub(crate) const CONSUMABLES: &[(&str, u16)] = &[
    ("Coffee", 28),
    ("Tea", 42),
    ("Pasta", 35),
    ("Sauces", 35),
    ("Olive Oil", 56),
    ("Cleaning", 42),
    ("Pet Food", 21),
    ("Shampoo", 49),
    ("Soap", 42),
    ("Face Cream", 63),
    ("Coffee Filters", 49),
];

/// Bought together: who buys a product of the first kind often takes its partner of the second kind along.
pub(crate) const COMPLEMENTS: &[(&str, &str)] = &[
    ("Skillets", "Pan Lids"),
    ("Kitchen Knives", "Chopping Boards"),
    ("Coffee Makers", "Coffee"),
    ("Phones", "Phone Cases"),
    ("Keyboards", "Mice"),
    ("Cameras", "Camera Film"),
    ("Chargers", "Cables"),
    ("Lamps", "Light Bulbs"),
    ("Dolls", "Doll Clothes"),
    ("Barbecues", "Charcoal"),
    ("Planters", "Potting Soil"),
    ("Tents", "Sleeping Mats"),
    ("Yoga Mats", "Yoga Blocks"),
    ("Shirts", "Ties"),
    ("Dresses", "Women's Belts"),
    ("Dress Shoes", "Shoe Care"),
    ("Pasta", "Sauces"),
    ("Shampoo", "Conditioner"),
];

/// The kind with this shelf name.
pub(crate) fn kind_of(shelf: &str) -> Option<usize> {
    KINDS.iter().position(|kind| kind.shelf == shelf)
}

impl Kind {
    pub fn name(&self) -> &'static str {
        self.shelf
    }

    pub(crate) fn department_words(&self) -> &'static DepartmentWords {
        &DEPARTMENTS[self.department as usize]
    }

    /// Names carry a colour.
    pub(crate) fn coloured(&self) -> bool {
        matches!(self.range, Range::Coloured | Range::Sizes(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shelves_are_unique_and_tables_name_real_ones() {
        for (number, kind) in KINDS.iter().enumerate() {
            assert_eq!(kind_of(kind.shelf), Some(number), "{} stands twice", kind.shelf);
            assert!(!kind.nouns.is_empty() && !kind.materials.is_empty());
        }
        for (shelf, _) in CONSUMABLES {
            assert!(kind_of(shelf).is_some(), "{shelf}");
        }
        for (first, second) in COMPLEMENTS {
            assert!(kind_of(first).is_some() && kind_of(second).is_some(), "{first} {second}");
        }
    }

    #[test]
    fn no_brand_stands_in_two_departments() {
        let mut brands: Vec<_> = DEPARTMENTS.iter().flat_map(|department| department.brands).collect();
        let count = brands.len();
        brands.sort_unstable();
        brands.dedup();
        assert_eq!(brands.len(), count);
    }
}
