//! Words that say nothing about a product. Written as the analyser sees them: lower case, without accents.

use super::Language;

pub(super) fn of(language: Language) -> &'static [&'static str] {
    match language {
        Language::English => &[
            "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "from", "has", "i", "if", "in", "into",
            "is", "it", "its", "my", "near", "no", "not", "of", "on", "or", "our", "so", "such", "than", "that", "the",
            "their", "then", "there", "these", "they", "this", "to", "was", "we", "what", "where", "which", "will",
            "with", "you", "your",
        ],
        Language::German => &[
            "aber", "als", "am", "an", "auch", "auf", "aus", "bei", "bis", "das", "dem", "den", "der", "des", "die",
            "ein", "eine", "einem", "einen", "einer", "eines", "fur", "hat", "ich", "im", "in", "ist", "mit", "nach",
            "nicht", "oder", "ohne", "sich", "sie", "sind", "so", "uber", "um", "und", "unter", "vom", "von", "vor",
            "wie", "zu", "zum", "zur",
        ],
        Language::French => &[
            "a", "au", "aux", "avec", "ce", "ces", "cette", "chez", "comme", "d", "dans", "de", "des", "du", "elle",
            "en", "est", "et", "il", "l", "la", "le", "les", "leur", "ma", "mais", "mon", "ne", "nos", "ou", "par",
            "pas", "pour", "qu", "que", "qui", "sa", "sans", "se", "ses", "son", "sous", "sur", "un", "une", "vos",
        ],
        Language::Spanish => &[
            "a", "al", "como", "con", "de", "del", "desde", "el", "ella", "en", "entre", "es", "esta", "este", "hasta",
            "la", "las", "lo", "los", "mas", "mi", "muy", "no", "o", "para", "pero", "por", "que", "se", "sin",
            "sobre", "son", "su", "sus", "un", "una", "unas", "unos", "y",
        ],
        Language::Italian => &[
            "a", "ad", "agli", "ai", "al", "alla", "alle", "che", "chi", "ci", "come", "con", "d", "da", "dal",
            "dalla", "de", "dei", "del", "della", "delle", "di", "e", "ed", "gli", "i", "il", "in", "l", "la", "le",
            "lo", "ma", "nel", "nella", "non", "o", "per", "piu", "se", "si", "su", "sul", "sulla", "tra", "un", "una",
            "uno",
        ],
        Language::Portuguese => &[
            "a", "ao", "aos", "as", "com", "como", "da", "das", "de", "do", "dos", "e", "em", "entre", "mais", "mas",
            "na", "nas", "no", "nos", "o", "os", "ou", "para", "pela", "pelo", "por", "que", "se", "sem", "seu", "sua",
            "um", "uma",
        ],
        Language::Dutch => &[
            "aan", "als", "bij", "dat", "de", "den", "der", "die", "dit", "door", "een", "en", "er", "het", "hoe",
            "ik", "in", "is", "je", "maar", "me", "met", "mijn", "na", "naar", "niet", "of", "om", "onder", "ook",
            "op", "over", "te", "tot", "uit", "van", "voor", "was", "wat", "zijn", "zonder",
        ],
        Language::Swedish => &[
            "att", "av", "de", "den", "det", "du", "efter", "ej", "eller", "en", "er", "ett", "for", "fran", "har",
            "i", "inte", "jag", "med", "men", "min", "mot", "och", "om", "pa", "som", "till", "under", "utan", "var",
            "vid",
        ],
        Language::Danish => &[
            "af", "at", "de", "den", "der", "det", "du", "efter", "eller", "en", "er", "et", "for", "fra", "har", "i",
            "ikke", "jeg", "med", "men", "min", "mod", "og", "om", "over", "pa", "som", "til", "under", "uden", "ved",
        ],
        Language::Norwegian => &[
            "at", "av", "de", "den", "der", "det", "du", "eller", "en", "er", "et", "etter", "for", "fra", "har", "i",
            "ikke", "jeg", "med", "men", "min", "mot", "og", "om", "over", "pa", "som", "til", "under", "uten", "ved",
        ],
        Language::Finnish => &[
            "ei", "eli", "ettei", "etta", "ja", "joka", "jos", "kanssa", "kuin", "kun", "mika", "mutta", "myos",
            "niin", "noin", "ole", "on", "ovat", "se", "sen", "seka", "tai", "tama", "vain",
        ],
        Language::Hungarian => &[
            "a", "az", "be", "csak", "de", "egy", "el", "es", "ez", "hogy", "is", "ki", "le", "meg", "mint", "nem",
            "s", "vagy", "van",
        ],
        Language::Romanian => &[
            "a", "al", "ale", "ca", "care", "ce", "cu", "de", "din", "doar", "este", "fara", "in", "la", "mai", "nu",
            "o", "pe", "pentru", "prin", "sa", "sau", "si", "sub", "un", "una", "unei", "unui",
        ],
        Language::Turkish => &[
            "ama", "bir", "bu", "da", "daha", "de", "en", "gibi", "ile", "icin", "ise", "ki", "mi", "mu", "ne", "o",
            "olan", "su", "ve", "veya", "ya",
        ],
        Language::Russian => &[
            "а", "без", "в", "во", "для", "до", "за", "и", "из", "или", "как", "к", "на", "не", "но", "о", "об", "от",
            "по", "под", "при", "с", "со", "то", "у", "это",
        ],
        Language::Greek => &[
            "απο",
            "για",
            "δεν",
            "ειναι",
            "η",
            "και",
            "με",
            "να",
            "ο",
            "οι",
            "σε",
            "στη",
            "στην",
            "στο",
            "τα",
            "τη",
            "την",
            "της",
            "το",
            "του",
            "των",
            "χωρις",
        ],
        Language::Arabic => &["في", "من", "على", "الى", "إلى", "عن", "مع", "هذا", "هذه", "او", "أو", "و", "ما", "لا"],
        Language::Unstemmed => &[],
    }
}
