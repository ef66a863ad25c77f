//! Shapes by shelf and noun, as SVG. `[[ ]]` holds a shape's body (it takes colour, pattern and light), `$m $d $e $l $a`
//! stand for the colours that go with it, `$B` for the brand.

/// What is drawn for a shelf that nobody drew a shape for.
pub(super) const PARCEL: &str = r##"[[<path d="M90 150l110-45 110 45v130l-110 48-110-48z"/>]]<path d="M90 150l110 46 110-46M200 196v132" fill="none" stroke="$d" stroke-width="4"/>"##;

pub(super) fn shape(shelf: &str, name: &str) -> &'static str {
    let has = |word: &str| name.contains(word);
    match shelf {
        "Dresses" if has("Slip") => SLIP_DRESS,
        "Dresses" => DRESS,
        "Doll Clothes" if has("Coat") => COAT,
        "Doll Clothes" => DRESS,
        "Blouses" if has("Camisole") => CAMISOLE,
        "Blouses" => BLOUSE,
        "Women's Knitwear" | "Men's Knitwear" if has("Cardigan") => CARDIGAN,
        "Women's Knitwear" | "Men's Knitwear" if has("Vest") || has("Slipover") => VEST,
        "Women's Knitwear" | "Men's Knitwear" => JUMPER,
        "Women's Jeans" | "Men's Jeans" => JEANS,
        "Trousers" => TROUSERS,
        "Running Wear" if has("Tights") => TROUSERS,
        "Running Wear" if has("Shorts") => SHORTS,
        "Running Wear" if has("Vest") => VEST,
        "Running Wear" => T_SHIRT,
        "Skirts" => SKIRT,
        "Women's Coats" => COAT,
        "Men's Jackets" => JACKET,
        "Handbags" if has("Clutch") => CLUTCH,
        "Handbags" if has("Crossbody") => CROSSBODY,
        "Handbags" => TOTE,
        "Women's Belts" | "Men's Belts" => BELT,
        "Scarves" => SCARF,
        "Jewellery" if has("Necklace") => NECKLACE,
        "Jewellery" if has("Ring") && !has("Earring") => RING,
        "Jewellery" if has("Bracelet") => BRACELET,
        "Jewellery" => EARRINGS,
        "Shirts" => SHIRT,
        "T-Shirts" if has("Polo") || has("Henley") => POLO,
        "T-Shirts" => T_SHIRT,
        "Ties" if has("Bow") => BOW_TIE,
        "Ties" => TIE,
        "Wallets" => WALLET,
        "Socks" => SOCKS,
        "Sneakers" if has("High-Top") => HIGH_TOP,
        "Sneakers" => SNEAKER,
        "Sandals" => SANDAL,
        "Ankle Boots" => ANKLE_BOOT,
        "Winter Boots" => WINTER_BOOT,
        "Dress Shoes" if has("Pump") => PUMP,
        "Dress Shoes" => DRESS_SHOE,
        "Shoe Care" if has("Spray") => SPRAY,
        "Shoe Care" => TIN,
        "Bed Linen" => BED_LINEN,
        "Cushions" => CUSHION,
        "Throws" => THROW,
        "Rugs" if has("Round") => ROUND_RUG,
        "Rugs" => RUG,
        "Towels" => TOWELS,
        "Lamps" if has("Pendant") => PENDANT_LAMP,
        "Lamps" if has("Floor") => FLOOR_LAMP,
        "Lamps" => TABLE_LAMP,
        "Light Bulbs" => BULB,
        "Vases" if has("Bud") => BUD_VASE,
        "Vases" => VASE,
        "Candles" if has("Taper") => TAPERS,
        "Candles" => CANDLE,
        "Picture Frames" => FRAME,
        "Side Tables" if has("Stool") => STOOL,
        "Side Tables" => SIDE_TABLE,
        "Shelves" => SHELF,
        "Skillets" => SKILLET,
        "Pan Lids" => LID,
        "Pots" if has("Saucepan") => SAUCEPAN,
        "Pots" => POT,
        "Kitchen Knives" => KNIFE,
        "Chopping Boards" => BOARD,
        "Plates" if has("Bowl") => BOWL,
        "Plates" => PLATE,
        "Mugs" => MUG,
        "Glasses" if has("Tumbler") => TUMBLER,
        "Glasses" if has("Carafe") => CARAFE,
        "Glasses" if has("Flute") => FLUTE,
        "Glasses" => WINE_GLASS,
        "Bakeware" if has("Muffin") => MUFFIN_TRAY,
        "Bakeware" => CAKE_TIN,
        "Coffee Makers" if has("Moka") || has("Grinder") => MOKA_POT,
        "Coffee Makers" if has("Dripper") => DRIPPER,
        "Coffee Makers" => FRENCH_PRESS,
        "Coffee Filters" => FILTERS,
        "Seeds" => SEEDS,
        "Planters" => PLANTER,
        "Potting Soil" | "Charcoal" => SACK,
        "Hand Tools" if has("Shears") => SHEARS,
        "Hand Tools" => TROWEL,
        "Watering" if has("Hose") => HOSE,
        "Watering" if has("Mister") => SPRAY,
        "Watering" => WATERING_CAN,
        "Garden Furniture" if has("Table") => SIDE_TABLE,
        "Garden Furniture" if has("Hammock") => HAMMOCK,
        "Garden Furniture" => CHAIR,
        "Barbecues" => BARBECUE,
        "Building Blocks" => BLOCKS,
        "Dolls" if has("House") => DOLLS_HOUSE,
        "Dolls" => DOLL,
        "Board Games" => BOARD_GAME,
        "Puzzles" => PUZZLE,
        "Plush" if has("Rabbit") => RABBIT,
        "Plush" => BEAR,
        "Outdoor Toys" if has("Kite") => KITE,
        "Outdoor Toys" if has("Sandbox") => SANDBOX,
        "Outdoor Toys" => BALANCE_BIKE,
        "Craft Kits" => PAINTS,
        "Headphones" if has("Earbuds") => EARBUDS,
        "Headphones" => HEADPHONES,
        "Speakers" => SPEAKER,
        "Phones" => PHONE,
        "Phone Cases" => PHONE_CASE,
        "Chargers" if has("Wireless") => WIRELESS_CHARGER,
        "Chargers" => CHARGER,
        "Cables" => CABLE,
        "Keyboards" => KEYBOARD,
        "Mice" => MOUSE,
        "Watches" => WATCH,
        "Cameras" => CAMERA,
        "Camera Film" => FILM,
        "Face Cream" => TIN,
        "Cleansers" | "Conditioner" => BOTTLE,
        "Shampoo" if has("Bar") => SOAP_BAR,
        "Shampoo" => BOTTLE,
        "Sun Care" => TUBE,
        "Lipstick" => LIPSTICK,
        "Mascara" => MASCARA,
        "Soap" if has("Bar") => SOAP_BAR,
        "Soap" => PUMP_BOTTLE,
        "Perfume" => PERFUME,
        "Yoga Mats" | "Sleeping Mats" => ROLLED_MAT,
        "Yoga Blocks" if has("Block") => YOGA_BLOCK,
        "Yoga Blocks" => ROLLED_MAT,
        "Weights" if has("Dumbbell") => DUMBBELLS,
        "Weights" if has("Band") => BELT,
        "Weights" => KETTLEBELL,
        "Water Bottles" => FLASK,
        "Tents" => TENT,
        "Bike Gear" if has("Helmet") => HELMET,
        "Bike Gear" if has("Bag") => CROSSBODY,
        "Bike Gear" if has("Gloves") => GLOVES,
        "Bike Gear" => BIKE_LIGHT,
        "Backpacks" if has("Duffel") => DUFFEL,
        "Backpacks" => BACKPACK,
        "Coffee" | "Nuts" | "Pet Food" => POUCH,
        "Tea" => TEA,
        "Pasta" => PASTA,
        "Sauces" | "Spices" => JAR,
        "Olive Oil" => OIL,
        "Chocolate" => CHOCOLATE,
        "Cleaning" => CLEANER,
        _ => PARCEL,
    }
}

// ---- Clothes ----

const DRESS: &str = r##"[[<path d="M160 74q40 26 80 0l16 8-6 66-16 34 54 146q-88 26-176 0l54-146-16-34-6-66z"/>]]<path d="M166 180q34 12 68 0" fill="none" stroke="$e" stroke-width="6" opacity=".7"/><path d="M184 200l-20 128M216 200l20 128M200 202v134" fill="none" stroke="$d" stroke-width="2" opacity=".6"/><path d="M160 74q40 40 80 0" fill="none" stroke="$d" stroke-width="4"/>"##;
const SLIP_DRESS: &str = r##"<path d="M166 118l10-48M234 118l-10-48" stroke="$d" stroke-width="4"/>[[<path d="M164 116q16-14 36 10 20-24 36-10l4 74 38 136q-78 22-156 0l38-136z"/>]]<path d="M180 206l-16 122M220 206l16 122" stroke="$d" stroke-width="2" opacity=".6"/>"##;
const CAMISOLE: &str = r##"<path d="M164 132l8-52M236 132l-8-52" stroke="$d" stroke-width="5"/>[[<path d="M154 132q20-16 46 12 26-28 46-12l12 170q-58 18-116 0z"/>]]<path d="M142 292q58 18 116 0" fill="none" stroke="$d" stroke-width="3"/>"##;
const BLOUSE: &str = r##"[[<path d="M158 88q42 24 84 0l58 36 26 130-42 10-24-74v118q-60 16-120 0v-118l-24 74-42-10 26-130z"/>]]<path d="M158 88l42 74 42-74" fill="none" stroke="$d" stroke-width="5"/><path d="M200 162v146M74 250l42 12M326 250l-42 12" stroke="$d" stroke-width="3"/>"##;
const SHIRT: &str = r##"[[<path d="M158 88h84l58 34 26 140-42 8-24-82v128q-60 10-120 0v-128l-24 82-42-8 26-140z"/>]]<path d="M158 88l16-12h52l16 12-24 30-18-22-18 22z" fill="$l" stroke="$d" stroke-width="2"/><path d="M200 100v214M74 252l42 8M326 252l-42 8" stroke="$d" stroke-width="3"/><g fill="$e"><circle cx="207" cy="140" r="3"/><circle cx="207" cy="180" r="3"/><circle cx="207" cy="220" r="3"/><circle cx="207" cy="260" r="3"/></g><path d="M222 150h26v28q-13 10-26 0z" fill="none" stroke="$d" stroke-width="2"/>"##;
const T_SHIRT: &str = r##"[[<path d="M156 84q44 26 88 0l74 44-26 64-32-14v136q-60 12-120 0v-136l-32 14-26-64z"/>]]<path d="M156 84q44 42 88 0" fill="none" stroke="$d" stroke-width="5"/><path d="M140 178l6-44M260 178l-6-44" stroke="$d" stroke-width="2"/>"##;
const POLO: &str = r##"[[<path d="M156 88h88l74 40-26 64-32-14v136q-60 12-120 0v-136l-32 14-26-64z"/>]]<path d="M156 88l18-12h52l18 12-26 26-18-18-18 18z" fill="$d"/><path d="M200 98v56" stroke="$e" stroke-width="4"/><circle cx="206" cy="122" r="3" fill="$l"/><circle cx="206" cy="142" r="3" fill="$l"/>"##;
const JUMPER: &str = r##"[[<path d="M156 86q44 22 88 0l50 28 34 154-42 12-26-96v126q-60 12-120 0v-126l-26 96-42-12 34-154z"/>]]<path d="M156 86q44 36 88 0l-4-12q-40 20-80 0z" fill="$d"/><path d="M140 296q60 14 120 0v14q-60 14-120 0zM72 262l42 12 4-12-43-12zM328 262l-42 12-4-12 43-12z" fill="$d"/><g stroke="$d" stroke-width="2" opacity=".5"><path d="M164 130v158M182 134v158M200 136v158M218 134v158M236 130v158"/></g>"##;
const CARDIGAN: &str = r##"[[<path d="M158 86l42 70 42-70 52 28 34 154-42 12-26-96v126q-60 12-120 0v-126l-26 96-42-12 34-154z"/>]]<path d="M158 86l42 72v154M242 86l-42 72" fill="none" stroke="$d" stroke-width="7"/><g fill="$e"><circle cx="209" cy="180" r="4"/><circle cx="209" cy="214" r="4"/><circle cx="209" cy="248" r="4"/><circle cx="209" cy="282" r="4"/></g>"##;
const VEST: &str = r##"[[<path d="M150 86l20-6 30 62 30-62 20 6q-6 56 20 76v146q-70 16-140 0V162q26-20 20-76z"/>]]<path d="M170 80l30 64 30-64" fill="none" stroke="$e" stroke-width="6"/><path d="M130 296q70 16 140 0v12q-70 16-140 0z" fill="$d"/><path d="M150 88q6 56-20 76M250 88q-6 56 20 76" fill="none" stroke="$d" stroke-width="5"/>"##;
const JEANS: &str = r##"[[<path d="M138 78h124l14 252h-58l-18-172-18 172h-58z"/>]]<path d="M138 78h124l1 18H137z" fill="$d"/><path d="M200 96v62M144 106q4 30 38 30M256 106q-4 30-38 30" fill="none" stroke="$l" stroke-width="2.5" stroke-dasharray="5 4"/><circle cx="200" cy="87" r="5" fill="#d8b25a"/><path d="M124 318h58l1 12h-60zM276 318h-58l-1 12h60z" fill="$d"/>"##;
const TROUSERS: &str = r##"[[<path d="M140 78h120l14 252h-54l-20-176-20 176h-54z"/>]]<path d="M140 78h120l1 16H139z" fill="$d"/><path d="M160 96l-8 232M240 96l8 232" stroke="$d" stroke-width="2"/><path d="M200 94v60" stroke="$d" stroke-width="3"/>"##;
const SHORTS: &str = r##"[[<path d="M128 112h144l22 150-74 12-20-82-20 82-74-12z"/>]]<path d="M128 112h144l3 20H125z" fill="$d"/><path d="M192 122q-6 30 2 44M208 122q6 26-2 40" fill="none" stroke="$l" stroke-width="3"/>"##;
const SKIRT: &str = r##"[[<path d="M154 104h92l54 186q-100 30-200 0z"/>]]<path d="M154 104h92l4 18h-100z" fill="$d"/><path d="M170 124l-30 172M200 124v182M230 124l30 172" stroke="$d" stroke-width="2" opacity=".7"/>"##;
const COAT: &str = r##"[[<path d="M156 72h88l54 30 24 160-40 8-20-88 8 152q-70 14-140 0l8-152-20 88-40-8 24-160z"/>]]<path d="M156 72l44 96 44-96-22-6h-44z" fill="$d"/><path d="M200 168v168" stroke="$e" stroke-width="3"/><path d="M140 214h120" stroke="$e" stroke-width="9" opacity=".75"/><g fill="$e"><circle cx="186" cy="190" r="4"/><circle cx="214" cy="190" r="4"/><circle cx="186" cy="240" r="4"/><circle cx="214" cy="240" r="4"/></g>"##;
const JACKET: &str = r##"[[<path d="M154 86h92l54 32 26 144-44 8-20-80v114q-62 14-124 0v-114l-20 80-44-8 26-144z"/>]]<path d="M154 86l14-14h64l14 14-46 28z" fill="$e"/><path d="M200 112v204" stroke="$e" stroke-width="5"/><path d="M150 226h36v36h-36zM214 226h36v36h-36z" fill="none" stroke="$d" stroke-width="4"/><path d="M138 300q62 14 124 0v10q-62 14-124 0z" fill="$d"/>"##;
const SOCKS: &str = r##"<g transform="translate(34 -6)" opacity=".8"><path d="M150 96h58v116l46 44q18 22-4 38-20 12-40-4l-60-56z" fill="$d"/></g>[[<path d="M126 96h58v116l46 44q18 22-4 38-20 12-40-4l-60-56z"/>]]<path d="M126 96h58v22h-58zM218 298q18-16 8-44l6 6q16 20-6 34z" fill="$d"/><path d="M126 232q20-22 50-14" fill="none" stroke="$d" stroke-width="4"/>"##;
const TIE: &str = r##"[[<path d="M178 70h44l-8 38 26 150-40 70-40-70 26-150z"/>]]<path d="M186 108h28" stroke="$e" stroke-width="4"/><g stroke="$l" stroke-width="5" opacity=".55"><path d="M176 176l44-30M170 218l58-40M166 256l68-46"/></g>"##;
const BOW_TIE: &str = r##"[[<path d="M190 186L96 148q-14 52 0 104l94-38zM210 186l94-38q14 52 0 104l-94-38z"/>]]<rect x="184" y="178" width="32" height="44" rx="8" fill="$e"/>"##;
const BELT: &str = r##"<circle cx="200" cy="206" r="98" fill="none" stroke="$d" stroke-width="40"/><circle cx="200" cy="202" r="98" fill="none" stroke="$m" stroke-width="36"/><circle cx="200" cy="202" r="66" fill="none" stroke="$d" stroke-width="22"/><circle cx="200" cy="202" r="108" fill="none" stroke="$l" stroke-width="1.5" stroke-dasharray="5 5" opacity=".8"/><rect x="170" y="274" width="60" height="50" rx="8" fill="none" stroke="#c9a45c" stroke-width="9"/><path d="M200 278v42" stroke="#c9a45c" stroke-width="6"/>"##;
const SCARF: &str = r##"<path d="M214 150l50 158-46 16-34-150z" fill="$d"/>[[<path d="M120 116q80-56 160 0 18 30-10 56-70 34-140 0-28-26-10-56zM150 172l-26 148 52 4 30-150z"/>]]<path d="M132 122q68 44 136 0M140 158q60 30 120 0" fill="none" stroke="$d" stroke-width="3"/><path d="M124 320v14M136 321v14M150 322v14M164 323v14M176 324v12M220 324l4 12M234 319l5 12M248 314l5 12M262 309l4 10" stroke="$d" stroke-width="4"/>"##;
const EARRINGS: &str = r##"<g fill="none" stroke-width="14"><circle cx="144" cy="218" r="62" stroke="$d"/><circle cx="144" cy="214" r="62" stroke="$m"/><circle cx="256" cy="218" r="62" stroke="$d"/><circle cx="256" cy="214" r="62" stroke="$m"/></g><path d="M144 152v-34q0-12 12-12M256 152v-34q0-12 12-12" fill="none" stroke="$d" stroke-width="5"/><path d="M98 180q20-28 50-28M210 180q20-28 50-28" fill="none" stroke="#fff" stroke-width="4" opacity=".6"/>"##;
const NECKLACE: &str = r##"<path d="M100 84q8 150 100 160 92-10 100-160" fill="none" stroke="$d" stroke-width="7"/><path d="M100 82q8 150 100 160 92-10 100-160" fill="none" stroke="$m" stroke-width="5" stroke-dasharray="9 3"/>[[<path d="M200 244l28 34-28 44-28-44z"/>]]<path d="M172 278h56M200 244v78" stroke="$l" stroke-width="2"/>"##;
const RING: &str = r##"<circle cx="200" cy="232" r="80" fill="none" stroke="$d" stroke-width="26"/><circle cx="200" cy="228" r="80" fill="none" stroke="$m" stroke-width="22"/>[[<path d="M158 116h84l18 34-60 30-60-30z"/>]]<path d="M142 196q14-30 44-40" fill="none" stroke="#fff" stroke-width="5" opacity=".7"/>"##;
const BRACELET: &str = r##"<ellipse cx="200" cy="214" rx="118" ry="84" fill="none" stroke="$d" stroke-width="20"/><ellipse cx="200" cy="208" rx="118" ry="84" fill="none" stroke="$m" stroke-width="18" stroke-dasharray="22 7"/><circle cx="200" cy="292" r="17" fill="$l" stroke="$d" stroke-width="4"/>"##;
const TOTE: &str = r##"<path d="M146 156V116q0-46 54-46t54 46v40" fill="none" stroke="$e" stroke-width="12"/>[[<path d="M102 150h196l20 166q-118 22-236 0z"/>]]<path d="M102 150h196l3 22H99z" fill="$d"/><path d="M146 150v44M254 150v44" stroke="$e" stroke-width="12"/><circle cx="146" cy="190" r="4" fill="#d8b25a"/><circle cx="254" cy="190" r="4" fill="#d8b25a"/>"##;
const CROSSBODY: &str = r##"<path d="M106 186q-20-130 94-130t94 130" fill="none" stroke="$e" stroke-width="9"/>[[<rect x="92" y="170" width="216" height="150" rx="26"/>]]<path d="M92 196q0-26 26-26h164q26 0 26 26v26q-108 74-216 0z" fill="$d"/><rect x="184" y="236" width="32" height="34" rx="6" fill="#d8b25a"/>"##;
const CLUTCH: &str = r##"[[<rect x="76" y="138" width="248" height="166" rx="16"/>]]<path d="M76 154q0-16 16-16h216q16 0 16 16l-124 86z" fill="$d"/><circle cx="200" cy="236" r="12" fill="#d8b25a"/>"##;
const WALLET: &str = r##"<rect x="104" y="130" width="200" height="160" rx="14" fill="$e"/>[[<rect x="96" y="142" width="208" height="160" rx="14"/>]]<rect x="106" y="152" width="188" height="140" rx="8" fill="none" stroke="$l" stroke-width="2.5" stroke-dasharray="7 5"/><path d="M252 196h52v52h-52q-20-26 0-52z" fill="$d"/><circle cx="270" cy="222" r="7" fill="#d8b25a"/>"##;

// ---- Shoes ----

const SNEAKER: &str = r##"<path d="M62 276h276q8 30-22 34H86q-28-4-24-34z" fill="#f4f1ea"/><path d="M62 292h276v6H62z" fill="$d" opacity=".35"/>[[<path d="M66 276q-6-58 10-104l46 6q18 34 52 12l70 48q48 8 80 18 16 8 14 20z"/>]]<path d="M174 190l70 48-22 38h-60q-16-46 12-86z" fill="$l" opacity=".45"/><g stroke="#f4f1ea" stroke-width="6"><path d="M176 206l24-14M194 220l24-14M212 233l24-13"/></g><path d="M76 172l46 6q-10 40 8 98H66q-6-58 10-104z" fill="$d" opacity=".5"/>"##;
const HIGH_TOP: &str = r##"<path d="M72 286h262q8 28-22 32H94q-26-4-22-32z" fill="#f4f1ea"/><path d="M72 300h262v6H72z" fill="$d" opacity=".4"/>[[<path d="M76 286q-4-106 10-186h92l8 92 60 56q46 4 74 18 14 8 12 20z"/>]]<circle cx="120" cy="160" r="22" fill="#f4f1ea" opacity=".85"/><g stroke="#f4f1ea" stroke-width="6"><path d="M156 128l28-6M158 152l28-6M162 176l28-7M172 200l26-12M190 222l24-14"/></g><path d="M86 100h92l1 14H84z" fill="$d"/>"##;
const SANDAL: &str = r##"<path d="M58 284q60-26 130-4 80 22 152 4 10 26-18 30-140 10-250 0-24-6-14-30z" fill="#c89f6d"/><path d="M60 290q60-18 130 0 80 16 150-2v8q-70 18-150 2-70-18-130 0z" fill="#8d6a45"/>[[<path d="M100 276l26-96q26-18 46 4l-18 90q-26-10-54 2zM226 286q6-62 50-86 30 18 40 86-46 8-90 0z"/>]]<path d="M126 186q60 30 150 20" fill="none" stroke="$m" stroke-width="20"/><rect x="150" y="186" width="20" height="24" rx="4" fill="none" stroke="#d8b25a" stroke-width="5"/>"##;
const ANKLE_BOOT: &str = r##"<path d="M86 288h244v18q-120 12-160 4v12H86z" fill="#3a2a20"/>[[<path d="M96 292V92h104l2 96 60 50q50 6 66 26 6 14 2 28z"/>]]<path d="M150 92h36l-4 84q-16 14-30 0z" fill="$e" opacity=".75"/><path d="M96 92h104v14H96z" fill="$d"/><path d="M202 188q-20 40-106 38" fill="none" stroke="$d" stroke-width="4"/>"##;
const WINTER_BOOT: &str = r##"<path d="M82 284h254l-4 36H88z" fill="#34312f"/><path d="M90 320v-10M114 320v-10M138 320v-10M162 320v-10M186 320v-10M210 320v-10M234 320v-10M258 320v-10M282 320v-10M306 320v-10" stroke="#777" stroke-width="6"/>[[<path d="M92 286V86h112l2 92 62 56q50 6 66 28 4 12 2 24z"/>]]<path d="M88 74h120q8 16 0 32H88q-8-16 0-32z" fill="#efe6d6"/><g stroke="$l" stroke-width="6"><path d="M164 132h40M164 156h42M168 180h44M184 206h44"/></g><path d="M268 234q50 6 66 28 4 12 2 24H246z" fill="$e" opacity=".6"/>"##;
const DRESS_SHOE: &str = r##"<path d="M58 286h82l20 12h176q6 14-10 20H168l-14-8-6 10H60z" fill="#2d221b"/>[[<path d="M58 288q-4-62 14-100 60-14 100 10l46 34q80 8 112 36 10 14 8 30H160l-20-10z"/>]]<path d="M172 198l46 34-30 40q-40-8-56-70z" fill="$d"/><g stroke="$l" stroke-width="4"><path d="M160 214l24-8M172 228l24-10M184 242l24-10"/></g><path d="M246 250q20 30 16 46" fill="none" stroke="$e" stroke-width="3" stroke-dasharray="4 5"/>"##;
const PUMP: &str = r##"<path d="M74 176l-6 142h14l24-106z" fill="$e"/>[[<path d="M70 172q34-14 62 14 60 76 140 84 54 6 58 40-86 18-150-10-60-30-100-90-8-22-10-38z"/>]]<path d="M132 186q60 76 140 84-80 10-118-30-24-24-22-54z" fill="$e" opacity=".8"/>"##;

// ---- Home ----

const BED_LINEN: &str = r##"<rect x="82" y="246" width="236" height="66" rx="26" fill="$d"/>[[<rect x="82" y="184" width="236" height="66" rx="26"/><rect x="90" y="124" width="220" height="64" rx="26"/>]]<path d="M98 216h206M98 280h206M106 156h190" stroke="$d" stroke-width="3" opacity=".8"/><path d="M186 118h28v200h-28z" fill="#c89f6d" opacity=".7"/>"##;
const CUSHION: &str = r##"[[<path d="M88 96q112 22 224 0 22 106 0 218-112-22-224 0-22-112 0-218z"/>]]<path d="M100 110q100 18 200 0M100 300q100-18 200 0" fill="none" stroke="$d" stroke-width="3"/><path d="M88 96l-8-10M312 96l8-10M88 314l-8 10M312 314l8 10" stroke="$d" stroke-width="8" stroke-linecap="round"/>"##;
const THROW: &str = r##"<path d="M92 278h216v30H92z" fill="$d"/>[[<path d="M84 120q116-22 232 0v66H84zM88 190h224v92H88z"/>]]<path d="M84 186h232" stroke="$e" stroke-width="4"/><g stroke="$d" stroke-width="5"><path d="M96 282v44M116 282v44M136 282v44M156 282v44M176 282v44M196 282v44M216 282v44M236 282v44M256 282v44M276 282v44M300 282v44"/></g><path d="M100 150h200M100 220h200M100 250h200" stroke="$l" stroke-width="6" opacity=".6"/>"##;
const RUG: &str = r##"[[<path d="M112 96h176l46 220H66z"/>]]<path d="M126 114h148l36 184H90z" fill="none" stroke="$l" stroke-width="6"/><path d="M200 144l44 62-44 62-44-62z" fill="$a" opacity=".6"/><path d="M200 168l26 38-26 38-26-38z" fill="$l"/><g stroke="#efe6d6" stroke-width="3"><path d="M114 96v-9M138 96v-9M162 96v-9M186 96v-9M210 96v-9M234 96v-9M258 96v-9M284 96v-9M72 316l-2 10M104 316v10M140 316v10M176 316v10M212 316v10M248 316v10M284 316v10M326 316l2 10"/></g>"##;
const ROUND_RUG: &str = r##"[[<ellipse cx="200" cy="222" rx="140" ry="104"/>]]<ellipse cx="200" cy="222" rx="112" ry="82" fill="none" stroke="$l" stroke-width="7"/><ellipse cx="200" cy="222" rx="78" ry="56" fill="none" stroke="$d" stroke-width="7"/><ellipse cx="200" cy="222" rx="42" ry="30" fill="$l" opacity=".7"/>"##;
const TOWELS: &str = r##"<rect x="88" y="250" width="224" height="62" rx="28" fill="$e"/><rect x="88" y="188" width="224" height="62" rx="28" fill="$d"/>[[<rect x="88" y="126" width="224" height="62" rx="28"/>]]<path d="M284 126v62M284 188v62M284 250v62" stroke="$l" stroke-width="8" opacity=".7"/><path d="M116 157h150M116 219h150M116 281h150" stroke="$l" stroke-width="3" opacity=".6"/>"##;
const TABLE_LAMP: &str = r##"<ellipse cx="200" cy="200" rx="120" ry="70" fill="#fff4cf" opacity=".55"/><path d="M148 86h104l34 102H114z" fill="#f4ead2"/><path d="M148 86h104l34 102H114z" fill="url(#s)"/>[[<path d="M184 188h32q-2 18 12 40 30 52-2 96h-52q-32-44-2-96 14-22 12-40z"/>]]<path d="M160 318h80v12h-80z" fill="$e"/>"##;
const FLOOR_LAMP: &str = r##"<path d="M196 152h8v168h-8z" fill="$e"/><ellipse cx="200" cy="324" rx="58" ry="11" fill="$e"/><path d="M150 164q50 20 100 0l40 60H110z" fill="#fff4cf" opacity=".5"/>[[<path d="M158 66h84l30 96q-72 14-144 0z"/>]]<path d="M128 162q72 14 144 0" fill="none" stroke="$d" stroke-width="4"/>"##;
const PENDANT_LAMP: &str = r##"<path d="M200 0v104" stroke="#4b4e52" stroke-width="4"/><path d="M92 232h216l40 92H52z" fill="#fff4cf" opacity=".5"/><circle cx="200" cy="238" r="22" fill="#fff1bd"/>[[<path d="M180 100h40q4 34 40 52 46 26 50 82H90q4-56 50-82 36-18 40-52z"/>]]<path d="M90 234h220" stroke="$e" stroke-width="6"/>"##;
const BULB: &str = r##"<circle cx="200" cy="172" r="112" fill="#fff4cf" opacity=".6"/>[[<path d="M200 76q86 6 86 90 0 44-40 78-8 10-8 26h-76q0-16-8-26-40-34-40-78 0-84 86-90z" opacity=".72"/>]]<path d="M170 262V190l15 20 15-20 15 20 15-20v72" fill="none" stroke="#b9772c" stroke-width="4"/><path d="M164 272h72v14h-72zM168 290h64v12h-64zM174 306h52v12q-26 16-52 0z" fill="#9aa0a5"/>"##;
const VASE: &str = r##"<g stroke="#5f7d4f" stroke-width="5" fill="none"><path d="M196 130q-6-40-44-66M202 130q4-46 40-74M200 128V54"/></g><g fill="#8fae7d"><ellipse cx="146" cy="60" rx="22" ry="10" transform="rotate(30 146 60)"/><ellipse cx="250" cy="54" rx="22" ry="10" transform="rotate(-34 250 54)"/><ellipse cx="200" cy="44" rx="10" ry="22"/><ellipse cx="168" cy="96" rx="18" ry="8" transform="rotate(20 168 96)"/><ellipse cx="232" cy="92" rx="18" ry="8" transform="rotate(-24 232 92)"/></g>[[<path d="M172 124h56q-6 34 30 72 30 42 0 96-12 30-20 36h-76q-8-6-20-36-30-54 0-96 36-38 30-72z"/>]]<path d="M172 124h56l-2 12h-52z" fill="$d"/>"##;
const BUD_VASE: &str = r##"<path d="M200 150q-2-60 14-92" fill="none" stroke="#5f7d4f" stroke-width="5"/><g fill="$a"><circle cx="216" cy="46" r="12"/><circle cx="200" cy="56" r="12"/><circle cx="230" cy="60" r="12"/><circle cx="216" cy="70" r="12"/></g><circle cx="216" cy="58" r="8" fill="#efd667"/>[[<path d="M186 142h28v58q54 26 54 78 0 34-26 50h-84q-26-16-26-50 0-52 54-78z"/>]]<path d="M184 142h32v10h-32z" fill="$d"/>"##;
const CANDLE: &str = r##"<ellipse cx="200" cy="104" rx="40" ry="52" fill="#fff1bd" opacity=".6"/><path d="M200 74q20 26 0 50-20-24 0-50z" fill="#f2b04a"/><path d="M200 116v30" stroke="#4b4e52" stroke-width="4"/>[[<path d="M124 146h152v168q-76 22-152 0z"/>]]<ellipse cx="200" cy="148" rx="76" ry="15" fill="$l"/><rect x="146" y="204" width="108" height="74" fill="#fbf7ee"/><text x="200" y="240" text-anchor="middle" font-family="Georgia,serif" font-size="15" fill="#4a3f35">$B</text><path d="M168 254h64" stroke="#4a3f35" stroke-width="1.5"/>"##;
const TAPERS: &str = r##"<g fill="#f2b04a"><path d="M150 50q14 20 0 36-14-16 0-36zM200 34q14 20 0 36-14-16 0-36zM250 50q14 20 0 36-14-16 0-36z"/></g>[[<path d="M142 88h16l5 214h-26zM192 72h16l5 230h-26zM242 88h16l5 214h-26z"/>]]<path d="M110 302h180l-14 26H124z" fill="#c9a45c"/>"##;
const FRAME: &str = r##"<rect x="98" y="66" width="204" height="258" fill="$d"/>[[<path d="M92 60h216v264H92zM120 88v208h160V88z" fill-rule="evenodd"/>]]<path d="M120 88h160v208H120z" fill="#fbf8f1"/><circle cx="228" cy="146" r="22" fill="$a" opacity=".85"/><path d="M134 282l46-78 34 48 22-28 32 58z" fill="#7d8f80"/><path d="M134 282l30-40 32 40z" fill="#55695b"/>"##;
const SIDE_TABLE: &str = r##"<path d="M120 188l-20 138M280 188l20 138M176 192l-8 110M224 192l8 110" stroke="$d" stroke-width="12" stroke-linecap="round"/>[[<ellipse cx="200" cy="174" rx="130" ry="34"/>]]<path d="M70 174q0 34 130 34t130-34v10q0 36-130 36T70 184z" fill="$d"/><path d="M172 120h32v42h-32z" fill="$a"/><path d="M188 118q-10-30-26-34M190 118q6-28 24-36" fill="none" stroke="#5f7d4f" stroke-width="4"/><ellipse cx="240" cy="164" rx="30" ry="7" fill="#fbf7ee"/>"##;
const STOOL: &str = r##"<path d="M134 170l-28 156M266 170l28 156M168 178l-14 138M232 178l14 138" stroke="$d" stroke-width="13" stroke-linecap="round"/><path d="M122 262h156" stroke="$d" stroke-width="9"/>[[<ellipse cx="200" cy="152" rx="98" ry="27"/>]]<path d="M102 152q0 27 98 27t98-27v12q0 28-98 28t-98-28z" fill="$d"/>"##;
const SHELF: &str = r##"<path d="M100 60h10v268h-10zM290 60h10v268h-10z" fill="$d"/>[[<path d="M88 120h224v14H88zM88 206h224v14H88zM88 292h224v14H88z"/>]]<g><path d="M118 72h16v48h-16z" fill="#762a3b"/><path d="M136 64h14v56h-14z" fill="#2a3a5e"/><path d="M152 78h18v42h-18z" fill="#d6a63c"/><path d="M172 70h12v50h-12z" fill="#9cae92"/><circle cx="256" cy="98" r="22" fill="$a"/><path d="M124 166h60v40h-60z" fill="#efe6d6"/><path d="M240 160h36l-6 46h-24z" fill="#c76d4b"/><path d="M258 160q-18-30-26-26M258 160q14-34 26-28" stroke="#5f7d4f" stroke-width="4" fill="none"/><path d="M128 246h18v46h-18z" fill="#2f7a78"/><path d="M148 254h14v38h-14z" fill="#e8b9b5"/><path d="M214 262h70v30h-70z" fill="#c8a878"/></g>"##;

// ---- Kitchen ----

const SKILLET: &str = r##"<path d="M282 262l66 58-16 16-68-56z" fill="$e"/><circle cx="188" cy="192" r="120" fill="$d"/>[[<circle cx="186" cy="188" r="118"/>]]<circle cx="186" cy="188" r="96" fill="$e"/><circle cx="186" cy="188" r="96" fill="url(#s)"/><path d="M116 140q26-36 70-38" fill="none" stroke="#fff" stroke-width="6" opacity=".25" stroke-linecap="round"/>"##;
const LID: &str = r##"<rect x="186" y="112" width="28" height="34" rx="5" fill="$e"/><ellipse cx="200" cy="110" rx="34" ry="13" fill="$e"/>[[<path d="M66 256q14-112 134-116 120 4 134 116z"/>]]<path d="M56 252h288v18q-144 22-288 0z" fill="$d"/><path d="M112 206q24-36 66-42" fill="none" stroke="#fff" stroke-width="7" opacity=".5" stroke-linecap="round"/>"##;
const POT: &str = r##"<path d="M84 196H50v34h36M316 196h34v34h-36" fill="none" stroke="$d" stroke-width="13"/>[[<path d="M82 168h236v112q0 46-46 46H128q-46 0-46-46z"/>]]<path d="M72 152q128-50 256 0v22H72z" fill="$d"/><rect x="178" y="104" width="44" height="22" rx="10" fill="$e"/><path d="M104 200v74" stroke="#fff" stroke-width="8" opacity=".28" stroke-linecap="round"/>"##;
const SAUCEPAN: &str = r##"<path d="M276 190h96v24h-96z" fill="$e"/>[[<path d="M66 158h216v120q0 46-46 46H112q-46 0-46-46z"/>]]<path d="M60 148h228v20H60z" fill="$d"/><path d="M90 190v84" stroke="#fff" stroke-width="8" opacity=".35" stroke-linecap="round"/>"##;
const KNIFE: &str = r##"<g transform="rotate(-38 200 200)">[[<path d="M40 176h196v52q-130 6-196-52z"/>]]<path d="M40 176h196v12H58z" fill="#fff" opacity=".35"/><path d="M232 170h16v62h-16z" fill="#9aa0a5"/><rect x="246" y="174" width="128" height="48" rx="16" fill="#5a3d2b"/><g fill="#c9a45c"><circle cx="276" cy="198" r="5"/><circle cx="308" cy="198" r="5"/><circle cx="340" cy="198" r="5"/></g></g>"##;
const BOARD: &str = r##"<path d="M126 110h148q20 0 20 20v178q0 20-20 20H126q-20 0-20-20V130q0-20 20-20z" fill="$e" transform="translate(6 6)"/>[[<path d="M178 110V76q0-20 22-20t22 20v34h52q20 0 20 20v178q0 20-20 20H126q-20 0-20-20V130q0-20 20-20zM200 70a11 11 0 1 0 .1 0z" fill-rule="evenodd"/>]]<path d="M136 120v200M166 114v212M232 114v212M264 120v204" stroke="$d" stroke-width="2.5" opacity=".6"/>"##;
const PLATE: &str = r##"<ellipse cx="200" cy="216" rx="146" ry="112" fill="$d"/>[[<ellipse cx="200" cy="208" rx="146" ry="112"/>]]<ellipse cx="200" cy="210" rx="100" ry="74" fill="$l" opacity=".7"/><ellipse cx="200" cy="210" rx="100" ry="74" fill="none" stroke="$d" stroke-width="3"/>"##;
const BOWL: &str = r##"[[<path d="M62 170h276q-4 96-84 142h-108q-80-46-84-142z"/>]]<ellipse cx="200" cy="170" rx="138" ry="34" fill="$d"/><ellipse cx="200" cy="174" rx="122" ry="27" fill="$l"/><path d="M146 312h108l-8 16h-92z" fill="$d"/>"##;
const MUG: &str = r##"<path d="M268 164h34q34 4 34 50t-42 56h-30" fill="none" stroke="$d" stroke-width="20"/>[[<path d="M94 116h180v170q0 40-40 40H134q-40 0-40-40z"/>]]<ellipse cx="184" cy="118" rx="90" ry="17" fill="$d"/><ellipse cx="184" cy="121" rx="78" ry="12" fill="#5b3a28"/><path d="M118 160v110" stroke="#fff" stroke-width="9" opacity=".35" stroke-linecap="round"/><path d="M164 90q-12-16 0-32M200 90q-12-16 0-32" fill="none" stroke="#fff" stroke-width="6" opacity=".6" stroke-linecap="round"/>"##;
const WINE_GLASS: &str = r##"[[<path d="M136 70h128q20 118-52 140v92q40 4 52 22H136q12-18 52-22v-92q-72-22-52-140z" opacity=".72"/>]]<path d="M134 130q66 20 132 0 0 62-56 76h-20q-56-14-56-76z" fill="#762a3b" opacity=".82"/><path d="M152 88q-4 50 14 80" fill="none" stroke="#fff" stroke-width="7" opacity=".7" stroke-linecap="round"/>"##;
const FLUTE: &str = r##"[[<path d="M164 56h72q12 130-26 166v80q34 4 44 22H146q10-18 44-22v-80q-38-36-26-166z" opacity=".7"/>]]<path d="M163 96h74q2 90-27 124h-20q-29-34-27-124z" fill="#e8c96a" opacity=".85"/><g fill="#fff" opacity=".8"><circle cx="190" cy="190" r="3"/><circle cx="206" cy="160" r="3"/><circle cx="196" cy="130" r="3"/><circle cx="214" cy="120" r="2"/></g>"##;
const TUMBLER: &str = r##"[[<path d="M106 96h188l-20 218q-74 18-148 0z" opacity=".68"/>]]<path d="M114 186h172l-12 118q-74 16-148 0z" fill="#e3b66a" opacity=".65"/><path d="M150 210l44-14 14 44-44 14zM210 230l44 8-8 42-44-8z" fill="#fff" opacity=".55"/><path d="M130 116l12 150" stroke="#fff" stroke-width="8" opacity=".6" stroke-linecap="round"/>"##;
const CARAFE: &str = r##"[[<path d="M166 60h68q-6 66 20 104 50 62 30 130-14 34-84 34t-84-34q-20-68 30-130 26-38 20-104z" opacity=".7"/>]]<path d="M122 232q78 24 156 0 12 40-4 66-20 24-74 24t-74-24q-16-26-4-66z" fill="#93bbd9" opacity=".6"/><path d="M138 216q-14 40-2 74" fill="none" stroke="#fff" stroke-width="8" opacity=".7" stroke-linecap="round"/>"##;
const CAKE_TIN: &str = r##"[[<path d="M72 176h256l-16 120q-112 34-224 0z"/>]]<ellipse cx="200" cy="176" rx="130" ry="38" fill="$d"/><ellipse cx="200" cy="182" rx="114" ry="30" fill="#d9a866"/><path d="M120 182q80-24 160 4" fill="none" stroke="#b98246" stroke-width="6"/><path d="M104 216l6 72" stroke="#fff" stroke-width="7" opacity=".3"/>"##;
const MUFFIN_TRAY: &str = r##"[[<path d="M66 140h268l24 160H42z"/>]]<g fill="$e"><ellipse cx="122" cy="182" rx="38" ry="25"/><ellipse cx="200" cy="182" rx="38" ry="25"/><ellipse cx="278" cy="182" rx="38" ry="25"/><ellipse cx="112" cy="254" rx="42" ry="28"/><ellipse cx="200" cy="254" rx="42" ry="28"/><ellipse cx="288" cy="254" rx="42" ry="28"/></g><g fill="#d9a866"><ellipse cx="122" cy="174" rx="34" ry="23"/><ellipse cx="200" cy="174" rx="34" ry="23"/><ellipse cx="288" cy="246" rx="38" ry="26"/></g>"##;
const MOKA_POT: &str = r##"<path d="M268 120h52v90h-20v-64h-36z" fill="#34312f"/>[[<path d="M144 204l-20-102 20-16h112l20 16-20 102zM140 212h120l24 112H116z"/>]]<path d="M136 200h128v16H136z" fill="$e"/><path d="M124 102l-30-10 30-8z" fill="$d"/><path d="M184 60h32v24h-32z" fill="#34312f"/><path d="M176 90l-6 110M224 90l6 110M172 218l-14 104M228 218l14 104" stroke="$d" stroke-width="3"/>"##;
const DRIPPER: &str = r##"<path d="M148 212h104l-8 22h-88z" fill="$e"/><path d="M128 242h144l14 82H114z" fill="#c9dfe4" opacity=".8"/><path d="M122 284h156l6 40H116z" fill="#5b3a28" opacity=".85"/>[[<path d="M86 100h228l-84 116h-60z"/>]]<ellipse cx="200" cy="100" rx="114" ry="24" fill="$d"/><ellipse cx="200" cy="104" rx="98" ry="18" fill="#5b3a28"/><path d="M140 128l40 78M260 128l-40 78M200 130v80" stroke="$d" stroke-width="4"/>"##;
const FRENCH_PRESS: &str = r##"<path d="M262 150h56v130h-56" fill="none" stroke="#34312f" stroke-width="17"/><path d="M196 50h8v80h-8z" fill="#9aa0a5"/><circle cx="200" cy="50" r="14" fill="#34312f"/><rect x="122" y="130" width="142" height="190" rx="12" fill="#d5e5ea" opacity=".75"/><path d="M126 196h134v106q0 14-14 14H140q-14 0-14-14z" fill="#4d2f20" opacity=".92"/>[[<path d="M116 116h154v24H116zM116 218h154v13H116zM116 304h154v20H116z"/>]]<path d="M142 156v136" stroke="#fff" stroke-width="8" opacity=".5" stroke-linecap="round"/>"##;
const FILTERS: &str = r##"<path d="M92 120h216v200H92z" fill="$d"/>[[<path d="M84 128h216v196H84z"/>]]<path d="M130 172h124l-34 96h-56z" fill="#fbf7ee"/><path d="M144 172l20 92M168 172l10 94M192 172v96M216 172l-10 94M240 172l-20 92" stroke="$d" stroke-width="2"/><text x="192" y="304" text-anchor="middle" font-family="Georgia,serif" font-size="17" fill="#fbf7ee">$B</text>"##;

// ---- Garden ----

const SEEDS: &str = r##"<path d="M116 66h168v262H116z" fill="#f7f0df"/>[[<path d="M116 66h168v44H116z"/>]]<text x="200" y="96" text-anchor="middle" font-family="Georgia,serif" font-size="19" fill="#fff">$B</text><path d="M200 300q-4-70 0-120" stroke="#5f7d4f" stroke-width="6" fill="none"/><g fill="$m"><circle cx="200" cy="146" r="18"/><circle cx="176" cy="164" r="18"/><circle cx="224" cy="164" r="18"/><circle cx="184" cy="190" r="18"/><circle cx="216" cy="190" r="18"/></g><circle cx="200" cy="170" r="15" fill="#efd667"/><g fill="#7fa06a"><ellipse cx="168" cy="246" rx="32" ry="13" transform="rotate(26 168 246)"/><ellipse cx="232" cy="260" rx="32" ry="13" transform="rotate(-26 232 260)"/></g>"##;
const PLANTER: &str = r##"<g fill="#6f9460"><ellipse cx="200" cy="116" rx="20" ry="60"/><ellipse cx="150" cy="140" rx="19" ry="56" transform="rotate(-36 150 140)"/><ellipse cx="250" cy="140" rx="19" ry="56" transform="rotate(36 250 140)"/></g><g fill="#88ac76"><ellipse cx="174" cy="124" rx="17" ry="56" transform="rotate(-16 174 124)"/><ellipse cx="228" cy="124" rx="17" ry="56" transform="rotate(16 228 124)"/></g>[[<path d="M116 184h168l-24 142H140z"/>]]<path d="M106 172h188v30H106z" fill="$d"/>"##;
const SACK: &str = r##"[[<path d="M110 84q90 16 180 0l-8 30q34 110 10 212-92 14-184 0-24-102 10-212z"/>]]<path d="M118 114q82 14 164 0" fill="none" stroke="$d" stroke-width="5" stroke-dasharray="9 6"/><rect x="134" y="162" width="132" height="104" rx="8" fill="#fbf7ee"/><text x="200" y="200" text-anchor="middle" font-family="Georgia,serif" font-size="18" fill="#4a3f35">$B</text><path d="M200 252q-2-24 0-34M200 232q-22-2-24-20 22 0 24 20zM200 226q22-2 24-20-22 0-24 20z" fill="#7fa06a" stroke="#5f7d4f" stroke-width="2"/>"##;
const TROWEL: &str = r##"<g transform="rotate(34 200 200)"><rect x="184" y="40" width="32" height="112" rx="16" fill="#c9a06c"/><path d="M194 150h12v46h-12z" fill="#8b9196"/>[[<path d="M150 196q50-22 100 0 4 100-50 152-54-52-50-152z"/>]]<path d="M200 204v120" stroke="$d" stroke-width="4"/></g>"##;
const SHEARS: &str = r##"<g fill="none" stroke="#a84a2c" stroke-width="24" stroke-linecap="round"><path d="M176 210q-60 40-70 108M224 210q60 40 70 108"/></g>[[<path d="M190 216Q130 140 168 62q40 50 46 140zM210 216q60-76 22-154-40 50-46 140z"/>]]<circle cx="200" cy="206" r="13" fill="#5d6066"/><circle cx="200" cy="206" r="5" fill="#d9d9d9"/>"##;
const WATERING_CAN: &str = r##"<path d="M286 176q60-30 56 34t-62 66" fill="none" stroke="$d" stroke-width="14"/><path d="M136 150q40-70 110-12" fill="none" stroke="$d" stroke-width="13"/><path d="M140 220L58 124l16-12 82 66z" fill="$d"/><path d="M36 128l44-38 12 14-42 40z" fill="$e"/>[[<path d="M134 154h154l12 166q-88 18-178 0z"/>]]<ellipse cx="211" cy="154" rx="77" ry="15" fill="$e"/>"##;
const HOSE: &str = r##"<g fill="none"><circle cx="200" cy="206" r="104" stroke="$d" stroke-width="22"/><circle cx="200" cy="202" r="104" stroke="$m" stroke-width="20"/><circle cx="200" cy="202" r="76" stroke="$d" stroke-width="22"/><circle cx="200" cy="200" r="76" stroke="$m" stroke-width="20"/><circle cx="200" cy="200" r="48" stroke="$d" stroke-width="20"/></g><path d="M296 240l46 70-22 16-46-66z" fill="$m"/><path d="M322 302l28 16-22 18-18-18z" fill="#d6a63c"/>"##;
const CHAIR: &str = r##"<path d="M112 236l-16 92M288 236l16 92M146 244l-6 74M254 244l6 74" stroke="$e" stroke-width="13" stroke-linecap="round"/>[[<path d="M118 88h164l-10 116H128z"/>]]<path d="M100 206h200l14 34H86z" fill="$d"/><path d="M146 92l4 108M174 92l2 108M200 92v108M226 92l-2 108M254 92l-4 108" stroke="$e" stroke-width="5"/><path d="M92 168h32v50M308 168h-32v50" fill="none" stroke="$e" stroke-width="11"/>"##;
const HAMMOCK: &str = r##"<path d="M70 76l-14 250M330 76l14 250" stroke="#7c5638" stroke-width="15" stroke-linecap="round"/><path d="M68 112l44 68M332 112l-44 68" stroke="#4b4e52" stroke-width="4"/>[[<path d="M96 158q104 92 208 0-6 120-104 124-98-4-104-124z"/>]]<path d="M112 196q88 70 176 0M124 230q76 50 152 0" fill="none" stroke="$l" stroke-width="8" opacity=".7"/>"##;
const BARBECUE: &str = r##"<path d="M148 240l-40 88M252 240l40 88M200 250v70" stroke="#5d6066" stroke-width="11" stroke-linecap="round"/><circle cx="112" cy="318" r="16" fill="#34312f"/>[[<path d="M80 176q8-92 120-96 112 4 120 96zM80 186h240q-12 76-120 80-108-4-120-80z"/>]]<path d="M70 172h260v18H70z" fill="$e"/><path d="M168 70h64v12h-64z" fill="#5a3d2b"/><path d="M118 140q18-32 52-40" fill="none" stroke="#fff" stroke-width="7" opacity=".4" stroke-linecap="round"/>"##;

// ---- Toys ----

const BLOCKS: &str = r##"<path d="M92 236h96v92H92z" fill="#d6a63c"/><path d="M200 236h96v92h-96z" fill="#2f7a78"/>[[<path d="M144 138h100v94H144z"/>]]<path d="M144 134l50-72 50 72z" fill="#c76d4b"/><circle cx="140" cy="282" r="25" fill="#f1e6d2"/><path d="M222 306l26-48 26 48z" fill="#f1e6d2"/><text x="194" y="204" text-anchor="middle" font-family="Georgia,serif" font-size="58" fill="#fbf7ee">M</text><path d="M300 292h42v36h-42z" fill="#93bbd9"/>"##;
const DOLL: &str = r##"<path d="M132 120q0-66 68-66t68 66v70H132z" fill="$e"/><circle cx="200" cy="126" r="52" fill="#f0cfae"/><path d="M150 112q50-40 100 0 0-50-50-50t-50 50z" fill="$e"/><circle cx="182" cy="128" r="5" fill="#34312f"/><circle cx="218" cy="128" r="5" fill="#34312f"/><path d="M186 148q14 12 28 0" fill="none" stroke="#a84a2c" stroke-width="4" stroke-linecap="round"/><g fill="#f0cfae"><path d="M140 190l-40 60 18 12 38-46zM260 190l40 60-18 12-38-46z"/><path d="M170 290h20v40h-20zM210 290h20v40h-20z"/></g>[[<path d="M162 178h76l42 122q-80 20-160 0z"/>]]<path d="M178 178q22 20 44 0" fill="none" stroke="#fff" stroke-width="6"/>"##;
const DOLLS_HOUSE: &str = r##"[[<path d="M96 176h208v150H96z"/>]]<path d="M76 180l124-110 124 110z" fill="$a"/><g fill="#fbf7ee"><path d="M120 202h46v46h-46zM234 202h46v46h-46z"/><circle cx="200" cy="140" r="19"/></g><path d="M176 256h48v70h-48z" fill="$e"/><path d="M143 202v46M120 225h46M257 202v46M234 225h46" stroke="$d" stroke-width="4"/>"##;
const BOARD_GAME: &str = r##"<path d="M84 116l232-20 20 202-232 24z" fill="$d"/>[[<path d="M70 104l232-18 20 204-232 22z"/>]]<path d="M96 132l188-15 14 146-188 18z" fill="#fbf0d9"/><g opacity=".9"><path d="M112 150l34-3 3 34-34 3z" fill="#c76d4b"/><path d="M156 146l34-3 3 34-34 3z" fill="#2f7a78"/><path d="M200 142l34-3 3 34-34 3z" fill="#d6a63c"/><path d="M244 138l34-3 3 34-34 3z" fill="#762a3b"/><path d="M250 182l34-3 3 34-34 3z" fill="#9cae92"/><path d="M120 232l34-3 3 34-34 3z" fill="#93bbd9"/></g><circle cx="204" cy="214" r="14" fill="$a"/><path d="M192 254l12-34 14 32z" fill="$a"/><rect x="262" y="268" width="44" height="44" rx="8" fill="#fff" transform="rotate(-12 284 290)"/><g fill="#34312f"><circle cx="274" cy="282" r="4"/><circle cx="286" cy="290" r="4"/><circle cx="297" cy="299" r="4"/></g>"##;
const PUZZLE: &str = r##"[[<path d="M80 88h108v34a24 24 0 1 0 24 0V88h108v108h-34a24 24 0 1 0 0 24h34v108H212v-34a24 24 0 1 1-24 0v34H80V220h34a24 24 0 1 1 0-24H80z"/>]]<circle cx="266" cy="136" r="24" fill="#efd667" opacity=".85"/><path d="M94 310l62-90 44 62 34-44 66 72z" fill="$e" opacity=".6"/><path d="M200 122v60M200 214v80M114 208h60M226 208h60" stroke="#fff" stroke-width="4" opacity=".65"/>"##;
const BEAR: &str = r##"<g fill="$d"><circle cx="146" cy="92" r="30"/><circle cx="254" cy="92" r="30"/><ellipse cx="116" cy="230" rx="30" ry="46" transform="rotate(24 116 230)"/><ellipse cx="284" cy="230" rx="30" ry="46" transform="rotate(-24 284 230)"/><ellipse cx="150" cy="312" rx="40" ry="24"/><ellipse cx="250" cy="312" rx="40" ry="24"/></g>[[<path d="M200 76a72 64 0 1 1-.1 0zM200 192a82 74 0 1 1-.1 0z"/>]]<ellipse cx="200" cy="268" rx="46" ry="44" fill="$l"/><ellipse cx="200" cy="164" rx="34" ry="26" fill="$l"/><ellipse cx="200" cy="154" rx="11" ry="8" fill="#34312f"/><path d="M200 162v10q-10 10-18 2M200 172q10 10 18 2" fill="none" stroke="#34312f" stroke-width="3"/><circle cx="172" cy="132" r="7" fill="#34312f"/><circle cx="228" cy="132" r="7" fill="#34312f"/><path d="M166 204q34 16 68 0" stroke="$a" stroke-width="12" fill="none"/>"##;
const RABBIT: &str = r##"<g fill="$d"><ellipse cx="166" cy="80" rx="21" ry="62" transform="rotate(-8 166 80)"/><ellipse cx="234" cy="80" rx="21" ry="62" transform="rotate(8 234 80)"/><ellipse cx="150" cy="312" rx="38" ry="22"/><ellipse cx="250" cy="312" rx="38" ry="22"/></g><ellipse cx="167" cy="84" rx="9" ry="44" fill="#e8b9b5"/><ellipse cx="233" cy="84" rx="9" ry="44" fill="#e8b9b5"/>[[<path d="M200 112a62 54 0 1 1-.1 0zM200 206a78 66 0 1 1-.1 0z"/>]]<ellipse cx="200" cy="272" rx="44" ry="40" fill="$l"/><circle cx="176" cy="156" r="7" fill="#34312f"/><circle cx="224" cy="156" r="7" fill="#34312f"/><path d="M192 176h16l-8 10z" fill="#c76d4b"/><path d="M164 214q36 18 72 0" stroke="$a" stroke-width="11" fill="none"/>"##;
const KITE: &str = r##"[[<path d="M210 52l96 98-120 140-76-138z"/>]]<path d="M210 52l-24 238M110 152l196-2" stroke="#fff" stroke-width="4" opacity=".75"/><path d="M210 52l96 98-106 1z" fill="$a" opacity=".7"/><path d="M186 290q-40 24-12 48" fill="none" stroke="#5d6066" stroke-width="3"/><path d="M164 306l24 8-20 16zM160 330l26 4-16 16z" fill="$a"/>"##;
const SANDBOX: &str = r##"<path d="M210 240l34-118" stroke="#d6a63c" stroke-width="12" stroke-linecap="round"/><path d="M232 74q40 14 22 70-28-6-44-18z" fill="#2f7a78"/><path d="M112 176q76-80 152 0" fill="none" stroke="#5d6066" stroke-width="6"/>[[<path d="M96 174h184l-22 150H118z"/>]]<ellipse cx="188" cy="176" rx="92" ry="18" fill="#e3c48a"/><path d="M280 250q16-50 50-20 24 40-10 90h-50q-10-40 10-70z" fill="#c76d4b"/>"##;
const BALANCE_BIKE: &str = r##"<g fill="none" stroke="#34312f" stroke-width="15"><circle cx="112" cy="262" r="58"/><circle cx="288" cy="262" r="58"/></g><circle cx="112" cy="262" r="13" fill="$d"/><circle cx="288" cy="262" r="13" fill="$d"/>[[<path d="M104 252l54-66h92l-12-62h18l44 138-20 6-22-62h-84l-62 62z"/>]]<path d="M126 170h66q8 22-12 22h-54q-14-10 0-22z" fill="#5a3d2b"/><path d="M216 118h62" stroke="#5a3d2b" stroke-width="13" stroke-linecap="round"/>"##;
const PAINTS: &str = r##"[[<path d="M70 206q6-112 134-116 124 6 128 96-2 52-56 50-46-4-40 34 0 40-48 42-112-8-118-106z"/>]]<circle cx="130" cy="178" r="21" fill="#c76d4b"/><circle cx="182" cy="138" r="21" fill="#d6a63c"/><circle cx="244" cy="140" r="21" fill="#2f7a78"/><circle cx="286" cy="184" r="19" fill="#762a3b"/><circle cx="136" cy="240" r="21" fill="#93bbd9"/><circle cx="192" cy="268" r="17" fill="#fbf7ee"/><g transform="rotate(38 300 250)"><path d="M294 170h14v140h-14z" fill="#c9a06c"/><path d="M292 146h18v28h-18z" fill="#9aa0a5"/><path d="M292 146q9-34 18 0z" fill="$a"/></g>"##;

// ---- Electronics ----

const HEADPHONES: &str = r##"<path d="M92 224q-6-146 108-150 114 4 108 150" fill="none" stroke="$d" stroke-width="19"/><path d="M102 190q8-102 98-104 90 2 98 104" fill="none" stroke="$l" stroke-width="5"/>[[<rect x="66" y="196" width="66" height="118" rx="30"/><rect x="268" y="196" width="66" height="118" rx="30"/>]]<rect x="122" y="204" width="26" height="102" rx="13" fill="$e"/><rect x="252" y="204" width="26" height="102" rx="13" fill="$e"/>"##;
const EARBUDS: &str = r##"<rect x="108" y="214" width="184" height="114" rx="42" fill="$d"/>[[<rect x="108" y="206" width="184" height="114" rx="42"/>]]<path d="M108 246h184" stroke="$e" stroke-width="3"/><circle cx="200" cy="276" r="5" fill="#9fe0a8"/><g><path d="M128 80q40-14 46 28 0 26-26 28l-2 54q-12 10-22 0l-4-84q0-22 8-26z" fill="$m"/><path d="M272 80q-40-14-46 28 0 26 26 28l2 54q12 10 22 0l4-84q0-22-8-26z" fill="$m"/><ellipse cx="164" cy="108" rx="9" ry="14" fill="$e"/><ellipse cx="236" cy="108" rx="9" ry="14" fill="$e"/></g>"##;
const SPEAKER: &str = r##"[[<rect x="114" y="62" width="172" height="266" rx="34"/>]]<circle cx="200" cy="234" r="64" fill="$e"/><circle cx="200" cy="234" r="44" fill="$d"/><circle cx="200" cy="234" r="17" fill="$e"/><circle cx="200" cy="122" r="32" fill="$e"/><circle cx="200" cy="122" r="17" fill="$d"/>"##;
const PHONE: &str = r##"<rect x="222" y="78" width="104" height="222" rx="20" fill="$d" transform="rotate(8 274 190)"/><circle cx="262" cy="106" r="12" fill="$e"/><circle cx="292" cy="110" r="12" fill="$e"/>[[<rect x="100" y="62" width="132" height="266" rx="24"/>]]<rect x="109" y="71" width="114" height="248" rx="16" fill="#1e2a3a"/><path d="M109 250q60-60 114-10v63q0 16-16 16h-82q-16 0-16-16z" fill="$a" opacity=".85"/><circle cx="166" cy="170" r="34" fill="#f2b04a" opacity=".8"/><rect x="148" y="79" width="36" height="8" rx="4" fill="#000"/>"##;
const PHONE_CASE: &str = r##"[[<rect x="116" y="58" width="168" height="272" rx="34"/>]]<rect x="126" y="68" width="148" height="252" rx="26" fill="none" stroke="$d" stroke-width="4"/><rect x="138" y="80" width="62" height="66" rx="18" fill="$e"/><circle cx="158" cy="100" r="11" fill="#1e2a3a"/><circle cx="180" cy="124" r="11" fill="#1e2a3a"/><circle cx="200" cy="214" r="34" fill="none" stroke="$l" stroke-width="5" opacity=".7"/>"##;
const CHARGER: &str = r##"<path d="M166 66h14v56h-14zM220 66h14v56h-14z" fill="#9aa0a5"/>[[<rect x="120" y="116" width="160" height="180" rx="30"/>]]<rect x="170" y="232" width="60" height="22" rx="11" fill="$e"/><path d="M206 142l-30 46h22l-8 34 32-48h-24z" fill="#f6cf5c"/><path d="M200 254v30q0 40 70 44" fill="none" stroke="#efe9df" stroke-width="9"/>"##;
const WIRELESS_CHARGER: &str = r##"<path d="M300 236q60 10 50 92" fill="none" stroke="#efe9df" stroke-width="9"/><ellipse cx="200" cy="226" rx="132" ry="84" fill="$e"/>[[<ellipse cx="200" cy="210" rx="132" ry="84"/>]]<ellipse cx="200" cy="208" rx="96" ry="58" fill="none" stroke="$l" stroke-width="4"/><path d="M206 170l-28 40h22l-8 30 32-42h-24z" fill="#f6cf5c"/>"##;
const CABLE: &str = r##"<g fill="none"><path d="M84 300q-40-120 60-150t120 60-60 80-60-60 60-90 130-20" stroke="$d" stroke-width="15"/><path d="M84 298q-40-120 60-150t120 60-60 80-60-60 60-90 130-20" stroke="$m" stroke-width="12"/></g><rect x="66" y="286" width="34" height="42" rx="7" fill="#5d6066"/><path d="M74 328h18v12H74z" fill="#b6bcc1"/><rect x="316" y="98" width="42" height="34" rx="7" fill="#5d6066"/><path d="M358 106h12v18h-12z" fill="#b6bcc1"/>"##;
const KEYBOARD: &str = r##"<rect x="44" y="148" width="312" height="148" rx="18" fill="$e"/>[[<rect x="44" y="140" width="312" height="146" rx="18"/>]]<g fill="#fbf7ee"><path d="M62 156h26v24H62zM96 156h26v24H96zM130 156h26v24h-26zM164 156h26v24h-26zM198 156h26v24h-26zM232 156h26v24h-26zM266 156h26v24h-26zM300 156h38v24h-38zM62 188h36v24H62zM106 188h26v24h-26zM140 188h26v24h-26zM174 188h26v24h-26zM208 188h26v24h-26zM242 188h26v24h-26zM276 188h62v24h-62zM62 220h26v24H62zM96 220h26v24H96zM130 220h26v24h-26zM164 220h26v24h-26zM198 220h26v24h-26zM232 220h26v24h-26zM266 220h26v24h-26zM300 220h38v24h-38zM110 252h180v22H110z" opacity=".92"/></g><path d="M300 156h38v24h-38z" fill="$a"/>"##;
const MOUSE: &str = r##"[[<path d="M200 84q86 4 86 112v44q0 88-86 88t-86-88v-44q0-108 86-112z"/>]]<path d="M114 192h172M200 86v106" stroke="$d" stroke-width="4"/><rect x="189" y="122" width="22" height="46" rx="11" fill="$e"/><path d="M136 150q10-34 36-44" fill="none" stroke="#fff" stroke-width="7" opacity=".45" stroke-linecap="round"/>"##;
const WATCH: &str = r##"<path d="M160 40h80l10 82H150zM150 278h100l-10 82h-80z" fill="$d"/><path d="M166 52h68M166 68h68M164 330h72M166 346h68" stroke="$e" stroke-width="3"/><rect x="280" y="176" width="16" height="40" rx="6" fill="$e"/>[[<rect x="114" y="110" width="170" height="180" rx="46"/>]]<rect x="128" y="124" width="142" height="152" rx="34" fill="#15202d"/><text x="199" y="208" text-anchor="middle" font-family="Helvetica,Arial,sans-serif" font-weight="300" font-size="42" fill="#fff">10:09</text><path d="M156 238h86" stroke="#33475c" stroke-width="8" stroke-linecap="round"/><path d="M156 238h52" stroke="$a" stroke-width="8" stroke-linecap="round"/>"##;
const CAMERA: &str = r##"<path d="M144 112l14-30h84l14 30z" fill="$e"/>[[<rect x="60" y="108" width="280" height="196" rx="30"/>]]<path d="M60 166h280v84H60z" fill="$e" opacity=".55"/><circle cx="200" cy="208" r="78" fill="#34312f"/><circle cx="200" cy="208" r="58" fill="#1b2733"/><circle cx="200" cy="208" r="34" fill="#3d5a78"/><circle cx="182" cy="188" r="12" fill="#fff" opacity=".75"/><rect x="284" y="126" width="36" height="24" rx="6" fill="#fbf7ee"/><circle cx="92" cy="136" r="11" fill="#c76d4b"/>"##;
const FILM: &str = r##"<path d="M112 108l150-24 48 24v206l-150 18-48-22z" fill="$d"/>[[<path d="M112 108l150-24v212l-150 24z"/>]]<path d="M130 138l114-18v92l-114 18z" fill="#fbf7ee"/><path d="M140 206l32-42 26 28 22-30 18 30z" fill="#7d8f80"/><circle cx="222" cy="150" r="10" fill="$a"/><text x="188" y="276" text-anchor="middle" font-family="Georgia,serif" font-size="21" fill="#fff" transform="rotate(-9 188 276)">$B</text>"##;

// ---- Beauty ----

const BOTTLE: &str = r##"<rect x="166" y="58" width="68" height="48" rx="10" fill="$e"/>[[<path d="M140 110h120q16 6 16 30v160q0 28-28 28h-96q-28 0-28-28V140q0-24 16-30z"/>]]<rect x="146" y="170" width="108" height="112" rx="4" fill="#fbf7ee" opacity=".94"/><text x="200" y="214" text-anchor="middle" font-family="Georgia,serif" font-size="17" fill="#4a3f35">$B</text><path d="M168 232h64M178 246h44" stroke="#4a3f35" stroke-width="2"/><path d="M138 136v170" stroke="#fff" stroke-width="7" opacity=".35" stroke-linecap="round"/>"##;
const PUMP_BOTTLE: &str = r##"<path d="M194 60h12v50h-12z" fill="#4b4e52"/><path d="M150 56h76q10 0 10 12v6h-30l-2-6h-54z" fill="#4b4e52"/><path d="M174 104h52v18h-52z" fill="#4b4e52"/>[[<path d="M142 122h116q20 8 20 34v142q0 30-30 30h-96q-30 0-30-30V156q0-26 20-34z"/>]]<rect x="148" y="180" width="104" height="104" rx="4" fill="#fbf7ee" opacity=".94"/><text x="200" y="224" text-anchor="middle" font-family="Georgia,serif" font-size="17" fill="#4a3f35">$B</text><path d="M170 242h60" stroke="#4a3f35" stroke-width="2"/>"##;
const TUBE: &str = r##"<rect x="164" y="284" width="72" height="44" rx="8" fill="$e"/>[[<path d="M128 66h144l-30 220h-84z"/>]]<path d="M128 66h144l-2 18H130z" fill="$d"/><circle cx="200" cy="150" r="34" fill="#fbf7ee" opacity=".92"/><text x="200" y="156" text-anchor="middle" font-family="Georgia,serif" font-size="14" fill="#4a3f35">$B</text><path d="M174 214h52M180 230h40" stroke="#fbf7ee" stroke-width="3"/>"##;
const TIN: &str = r##"<path d="M84 202h232v74q0 48-116 48T84 276z" fill="#efe9df"/><path d="M84 202h232v74q0 48-116 48T84 276z" fill="url(#s)"/>[[<path d="M76 156q0-46 124-46t124 46v50q0 46-124 46T76 206z"/>]]<ellipse cx="200" cy="156" rx="124" ry="46" fill="$l"/><text x="200" y="163" text-anchor="middle" font-family="Georgia,serif" font-size="21" fill="#4a3f35">$B</text>"##;
const SPRAY: &str = r##"<path d="M158 66h66l44 16-6 20-38-12v30h-66z" fill="#4b4e52"/><path d="M224 92q8 36-14 52" fill="none" stroke="#4b4e52" stroke-width="9"/>[[<path d="M158 120h66q44 40 44 96v88q0 24-24 24H140q-24 0-24-24v-88q0-56 42-96z"/>]]<rect x="138" y="210" width="108" height="80" rx="4" fill="#fbf7ee" opacity=".94"/><text x="192" y="256" text-anchor="middle" font-family="Georgia,serif" font-size="17" fill="#4a3f35">$B</text>"##;
const LIPSTICK: &str = r##"<path d="M166 176V108q30-56 68-34v102z" fill="$m"/><path d="M166 108q30-56 68-34l-68 62z" fill="$l" opacity=".6"/><path d="M158 174h84v50h-84z" fill="#d8b25a"/><path d="M158 174h84v50h-84z" fill="url(#s)"/>[[<path d="M146 222h108v104H146z"/>]]<path d="M146 222h108v12H146z" fill="$e"/>"##;
const MASCARA: &str = r##"<g transform="rotate(24 200 200)"><path d="M236 70h12v88h-12z" fill="#4b4e52"/><rect x="230" y="60" width="24" height="74" rx="11" fill="#34312f"/><path d="M226 72h32M226 84h32M226 96h32M226 108h32M226 120h32" stroke="#34312f" stroke-width="4"/><rect x="222" y="156" width="40" height="150" rx="8" fill="$e"/>[[<rect x="138" y="122" width="48" height="206" rx="10"/>]]<path d="M138 176h48" stroke="#d8b25a" stroke-width="7"/></g>"##;
const SOAP_BAR: &str = r##"<path d="M88 214q0-32 34-40l148-32q42-6 48 30l8 62q2 30-34 38l-148 34q-42 6-48-26z" fill="$d"/>[[<path d="M82 196q0-30 34-38l150-30q40-6 46 28l6 46q2 28-34 36l-146 32q-42 6-48-26z"/>]]<text x="200" y="206" text-anchor="middle" font-family="Georgia,serif" font-size="24" fill="$e" transform="rotate(-12 200 200)">$B</text><g fill="#fff" opacity=".7"><circle cx="104" cy="134" r="14"/><circle cx="132" cy="112" r="9"/><circle cx="314" cy="286" r="13"/></g>"##;
const PERFUME: &str = r##"<rect x="172" y="66" width="56" height="44" rx="6" fill="#d8b25a"/><path d="M182 110h36v20h-36z" fill="#b6bcc1"/>[[<path d="M118 130h164q14 0 14 14v168q0 14-14 14H118q-14 0-14-14V144q0-14 14-14z" opacity=".82"/>]]<path d="M118 200h164v112H118z" fill="$l" opacity=".6"/><rect x="150" y="190" width="100" height="74" fill="#fbf7ee"/><text x="200" y="234" text-anchor="middle" font-family="Georgia,serif" font-size="16" fill="#4a3f35">$B</text><path d="M126 150v150" stroke="#fff" stroke-width="7" opacity=".55" stroke-linecap="round"/>"##;

// ---- Sports ----

const ROLLED_MAT: &str = r##"<path d="M122 260L300 132l32 46-170 140z" fill="$d"/>[[<path d="M92 230L284 92q34-4 48 32 8 30-10 54L140 318q-40 14-62-20-14-38 14-68z"/>]]<circle cx="114" cy="274" r="44" fill="$d"/><path d="M114 274m-26 0a26 26 0 1 1 26 26M114 274m-11 0a11 11 0 1 1 11 11" fill="none" stroke="$l" stroke-width="5"/><path d="M180 178q34 18 44 66M254 122q34 18 44 66" fill="none" stroke="$e" stroke-width="11"/>"##;
const YOGA_BLOCK: &str = r##"<path d="M84 180l58-44h190l-52 44z" fill="$l"/><path d="M280 180l52-44v118l-52 58z" fill="$d"/>[[<path d="M84 180h196v132H84z"/>]]<text x="182" y="254" text-anchor="middle" font-family="Georgia,serif" font-size="22" fill="$e">$B</text>"##;
const KETTLEBELL: &str = r##"<path d="M148 182q-38-108 52-108t52 108" fill="none" stroke="$d" stroke-width="27"/><path d="M148 178q-38-106 52-106t52 106" fill="none" stroke="$m" stroke-width="21"/>[[<path d="M200 148q100 6 100 102 0 50-34 76H134q-34-26-34-76 0-96 100-102z"/>]]<circle cx="200" cy="242" r="44" fill="$a"/><text x="200" y="248" text-anchor="middle" font-family="Georgia,serif" font-size="15" fill="#fff">$B</text>"##;
const DUMBBELLS: &str = r##"<path d="M110 142h180v24H110z" fill="#9aa0a5"/><path d="M110 254h180v24H110z" fill="#9aa0a5"/>[[<rect x="62" y="108" width="62" height="92" rx="16"/><rect x="276" y="108" width="62" height="92" rx="16"/><rect x="62" y="220" width="62" height="92" rx="16"/><rect x="276" y="220" width="62" height="92" rx="16"/>]]<path d="M98 108v92M302 108v92M98 220v92M302 220v92" stroke="$e" stroke-width="4"/>"##;
const FLASK: &str = r##"<path d="M172 50h56v34h-56z" fill="$e"/><path d="M164 82h72v22h-72z" fill="#5d6066"/>[[<path d="M164 104h72q30 14 30 54v138q0 32-32 32h-68q-32 0-32-32V158q0-40 30-54z"/>]]<path d="M134 250h132v10H134z" fill="$d"/><text x="200" y="216" text-anchor="middle" font-family="Georgia,serif" font-size="17" fill="#fff" transform="rotate(-90 200 210)">$B</text><path d="M152 150v140" stroke="#fff" stroke-width="9" opacity=".35" stroke-linecap="round"/>"##;
const TENT: &str = r##"<path d="M24 326h352" stroke="#7fa06a" stroke-width="11" stroke-linecap="round"/>[[<path d="M46 324q60-206 154-216 94 10 154 216z"/>]]<path d="M200 112l58 212H142z" fill="$e"/><path d="M200 112l22 212h-44z" fill="#fff1bd"/><path d="M46 324L18 336M354 324l28 12" stroke="#5d6066" stroke-width="3"/><path d="M200 108q-94 60-120 216" fill="none" stroke="$d" stroke-width="4"/>"##;
const HELMET: &str = r##"[[<path d="M56 236q4-138 148-142 132 6 142 122-10 26-66 26-110-6-180 24-40-2-44-30z"/>]]<g fill="$e"><path d="M118 168q40-46 92-48l-6 30q-44 2-70 34zM232 122q44 8 66 46l-26 14q-16-26-42-32z"/></g><path d="M104 262q30 50 70 58M250 244q-20 56-76 76" fill="none" stroke="#34312f" stroke-width="7"/>"##;
const GLOVES: &str = r##"<g transform="translate(62 -4) rotate(14 200 200)" opacity=".85"><path d="M136 318v-70l-26-64q0-22 20-16l22 40V104q12-18 24 0v76-92q12-18 24 0v92-84q12-18 24 0v92-66q12-16 22 0v112q4 40-16 84z" fill="$d"/></g>[[<path d="M96 318v-70l-26-64q0-22 20-16l22 40V104q12-18 24 0v76-92q12-18 24 0v92-84q12-18 24 0v92-66q12-16 22 0v112q4 40-16 84z"/>]]<path d="M94 290h102v28H94z" fill="$e"/>"##;
const BIKE_LIGHT: &str = r##"<path d="M236 120l120-50v260l-120-50z" fill="#fff4cf" opacity=".75"/>[[<path d="M84 142h110q50 4 50 58t-50 58H84q-24 0-24-24v-68q0-24 24-24z"/>]]<ellipse cx="228" cy="200" rx="26" ry="58" fill="#fff1bd"/><ellipse cx="228" cy="200" rx="26" ry="58" fill="none" stroke="$e" stroke-width="7"/><path d="M110 258h52v44q-26 20-52 0z" fill="$e"/><circle cx="106" cy="200" r="12" fill="$a"/>"##;
const BACKPACK: &str = r##"<path d="M164 84q0-34 36-34t36 34" fill="none" stroke="$e" stroke-width="11"/><path d="M112 148q-34 20-28 120M288 148q34 20 28 120" fill="none" stroke="$e" stroke-width="17"/>[[<path d="M112 150q0-76 88-76t88 76v150q0 28-28 28H140q-28 0-28-28z"/>]]<rect x="136" y="216" width="128" height="86" rx="18" fill="$d"/><path d="M136 240h128" stroke="$e" stroke-width="4"/><path d="M124 168q76 26 152 0" fill="none" stroke="$e" stroke-width="5"/><rect x="186" y="234" width="28" height="16" rx="4" fill="#d8b25a"/>"##;
const DUFFEL: &str = r##"<path d="M126 176q74-130 148 0" fill="none" stroke="$e" stroke-width="13"/>[[<path d="M70 172h260q28 20 28 66t-28 74H70q-28-28-28-74t28-66z"/>]]<path d="M104 174v136M296 174v136" stroke="$e" stroke-width="15"/><path d="M70 190h260" stroke="$d" stroke-width="5"/><rect x="156" y="218" width="88" height="62" rx="10" fill="$d"/>"##;

// ---- Pantry ----

const POUCH: &str = r##"[[<path d="M114 84h172l14 40-10 196q-90 16-180 0l-10-196z"/>]]<path d="M112 64h176v30H112z" fill="$d"/><path d="M126 70v18M146 70v18M166 70v18M186 70v18M206 70v18M226 70v18M246 70v18M268 70v18" stroke="$e" stroke-width="2"/><rect x="132" y="146" width="136" height="134" rx="68" fill="#fbf7ee"/><text x="200" y="206" text-anchor="middle" font-family="Georgia,serif" font-size="18" fill="#4a3f35">$B</text><path d="M162 222h76" stroke="#4a3f35" stroke-width="2"/><circle cx="186" cy="246" r="9" fill="$a"/><circle cx="210" cy="250" r="9" fill="$d"/>"##;
const TEA: &str = r##"<path d="M104 130h192v194H104z" fill="$d"/>[[<path d="M104 138h192v186H104z"/>]]<path d="M96 108h208v38H96z" fill="$e"/><ellipse cx="200" cy="234" rx="62" ry="58" fill="#fbf7ee"/><text x="200" y="228" text-anchor="middle" font-family="Georgia,serif" font-size="17" fill="#4a3f35">$B</text><path d="M176 258q24-26 48 0-24 16-48 0z" fill="#7fa06a"/><path d="M300 150q36 4 30 56" fill="none" stroke="#efe9df" stroke-width="3"/><path d="M316 206h28v34h-28z" fill="$a"/>"##;
const PASTA: &str = r##"<path d="M122 70h156v250H122z" fill="#f3dfae"/><g stroke="#dfbf7a" stroke-width="3"><path d="M134 80v230M146 80v230M158 80v230M170 80v230M182 80v230M194 80v230M206 80v230M218 80v230M230 80v230M242 80v230M254 80v230M266 80v230"/></g><path d="M118 62h164v20H118zM118 312h164v16H118z" fill="$d"/>[[<path d="M116 146h168v112H116z"/>]]<text x="200" y="196" text-anchor="middle" font-family="Georgia,serif" font-size="22" fill="#fff">$B</text><path d="M150 216h100" stroke="#fff" stroke-width="2"/>"##;
const JAR: &str = r##"[[<path d="M124 126h152q26 16 26 46v126q0 30-30 30H128q-30 0-30-30V172q0-30 26-46z"/>]]<rect x="118" y="72" width="164" height="54" rx="9" fill="#d8b25a"/><path d="M118 72h164v54H118z" fill="url(#s)"/><rect x="112" y="186" width="176" height="96" fill="#fbf7ee"/><text x="200" y="232" text-anchor="middle" font-family="Georgia,serif" font-size="20" fill="#4a3f35">$B</text><path d="M150 252h100" stroke="$d" stroke-width="5"/>"##;
const OIL: &str = r##"<rect x="180" y="44" width="40" height="40" rx="5" fill="#34312f"/>[[<path d="M182 84h36v56q46 18 46 60v104q0 24-24 24h-80q-24 0-24-24V200q0-42 46-60z"/>]]<rect x="140" y="206" width="120" height="88" fill="#fbf7ee"/><text x="200" y="246" text-anchor="middle" font-family="Georgia,serif" font-size="18" fill="#4a3f35">$B</text><path d="M176 272q10-16 24-4 14-12 24 4-24 16-48 0z" fill="#737547"/><path d="M152 190v120" stroke="#fff" stroke-width="7" opacity=".3" stroke-linecap="round"/>"##;
const CHOCOLATE: &str = r##"<g transform="rotate(-10 200 200)"><path d="M112 66h176v120H112z" fill="#5b3a28"/><path d="M156 66v110M200 66v110M244 66v110M112 108h176M112 148h176" stroke="#462a1c" stroke-width="6"/><path d="M106 160l16 8 16-10 16 12 16-12 16 12 16-12 16 12 16-12 16 10 16-10 20 6v20H106z" fill="#d9d9d9"/>[[<path d="M104 182h192v148H104z"/>]]<rect x="126" y="210" width="148" height="88" fill="#fbf7ee"/><text x="200" y="252" text-anchor="middle" font-family="Georgia,serif" font-size="21" fill="#4a3f35">$B</text><path d="M158 272h84" stroke="$d" stroke-width="4"/></g>"##;
const CLEANER: &str = r##"<rect x="158" y="58" width="54" height="46" rx="8" fill="$e"/>[[<path d="M150 104h70q62 34 62 104v96q0 24-24 24H138q-24 0-24-24V156q0-36 36-52zM222 148v62h32q-2-40-32-62z" fill-rule="evenodd"/>]]<rect x="132" y="216" width="122" height="84" rx="6" fill="#fbf7ee" opacity=".94"/><text x="193" y="254" text-anchor="middle" font-family="Georgia,serif" font-size="17" fill="#4a3f35">$B</text><path d="M160 274h66" stroke="$d" stroke-width="4"/>"##;
