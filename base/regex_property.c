/* Names of Unicode properties: general categories, their long names, and scripts. As in Go, case,
 * underscores, hyphens and spaces do not count. The engine knows Unicode 14. */
#include "base/regex_ast.h"

struct category {
    struct str name;
    const char *engine_name;
};

/* clang-format off */
static const struct category categories[] = {
    {STR_INIT("C"), "C"},
    {STR_INIT("Cc"), "Cc"},
    {STR_INIT("Cf"), "Cf"},
    {STR_INIT("Cn"), "Cn"},
    {STR_INIT("Co"), "Co"},
    {STR_INIT("Cs"), "Cs"},
    {STR_INIT("L"), "L"},
    {STR_INIT("LC"), "L&"},
    {STR_INIT("Ll"), "Ll"},
    {STR_INIT("Lm"), "Lm"},
    {STR_INIT("Lo"), "Lo"},
    {STR_INIT("Lt"), "Lt"},
    {STR_INIT("Lu"), "Lu"},
    {STR_INIT("M"), "M"},
    {STR_INIT("Mc"), "Mc"},
    {STR_INIT("Me"), "Me"},
    {STR_INIT("Mn"), "Mn"},
    {STR_INIT("N"), "N"},
    {STR_INIT("Nd"), "Nd"},
    {STR_INIT("Nl"), "Nl"},
    {STR_INIT("No"), "No"},
    {STR_INIT("P"), "P"},
    {STR_INIT("Pc"), "Pc"},
    {STR_INIT("Pd"), "Pd"},
    {STR_INIT("Pe"), "Pe"},
    {STR_INIT("Pf"), "Pf"},
    {STR_INIT("Pi"), "Pi"},
    {STR_INIT("Po"), "Po"},
    {STR_INIT("Ps"), "Ps"},
    {STR_INIT("S"), "S"},
    {STR_INIT("Sc"), "Sc"},
    {STR_INIT("Sk"), "Sk"},
    {STR_INIT("Sm"), "Sm"},
    {STR_INIT("So"), "So"},
    {STR_INIT("Z"), "Z"},
    {STR_INIT("Zl"), "Zl"},
    {STR_INIT("Zp"), "Zp"},
    {STR_INIT("Zs"), "Zs"},
    {STR_INIT("Cased_Letter"), "L&"},
    {STR_INIT("Close_Punctuation"), "Pe"},
    {STR_INIT("Combining_Mark"), "M"},
    {STR_INIT("Connector_Punctuation"), "Pc"},
    {STR_INIT("Control"), "Cc"},
    {STR_INIT("Currency_Symbol"), "Sc"},
    {STR_INIT("Dash_Punctuation"), "Pd"},
    {STR_INIT("Decimal_Number"), "Nd"},
    {STR_INIT("Enclosing_Mark"), "Me"},
    {STR_INIT("Final_Punctuation"), "Pf"},
    {STR_INIT("Format"), "Cf"},
    {STR_INIT("Initial_Punctuation"), "Pi"},
    {STR_INIT("Letter"), "L"},
    {STR_INIT("Letter_Number"), "Nl"},
    {STR_INIT("Line_Separator"), "Zl"},
    {STR_INIT("Lowercase_Letter"), "Ll"},
    {STR_INIT("Mark"), "M"},
    {STR_INIT("Math_Symbol"), "Sm"},
    {STR_INIT("Modifier_Letter"), "Lm"},
    {STR_INIT("Modifier_Symbol"), "Sk"},
    {STR_INIT("Nonspacing_Mark"), "Mn"},
    {STR_INIT("Number"), "N"},
    {STR_INIT("Open_Punctuation"), "Ps"},
    {STR_INIT("Other"), "C"},
    {STR_INIT("Other_Letter"), "Lo"},
    {STR_INIT("Other_Number"), "No"},
    {STR_INIT("Other_Punctuation"), "Po"},
    {STR_INIT("Other_Symbol"), "So"},
    {STR_INIT("Paragraph_Separator"), "Zp"},
    {STR_INIT("Private_Use"), "Co"},
    {STR_INIT("Punctuation"), "P"},
    {STR_INIT("Separator"), "Z"},
    {STR_INIT("Space_Separator"), "Zs"},
    {STR_INIT("Spacing_Mark"), "Mc"},
    {STR_INIT("Surrogate"), "Cs"},
    {STR_INIT("Symbol"), "S"},
    {STR_INIT("Titlecase_Letter"), "Lt"},
    {STR_INIT("Unassigned"), "Cn"},
    {STR_INIT("Uppercase_Letter"), "Lu"},
    {STR_INIT("cntrl"), "Cc"},
    {STR_INIT("digit"), "Nd"},
    {STR_INIT("punct"), "P"},
    {STR_INIT("Any"), "Any"},
    {STR_INIT("ASCII"), "ASCII"},
};

static const char *const scripts[] = {
    "Adlam", "Ahom", "Anatolian_Hieroglyphs", "Arabic", "Armenian", "Avestan", "Balinese",
    "Bamum", "Bassa_Vah", "Batak", "Bengali", "Bhaiksuki", "Bopomofo", "Brahmi", "Braille",
    "Buginese", "Buhid", "Canadian_Aboriginal", "Carian", "Caucasian_Albanian", "Chakma", "Cham",
    "Cherokee", "Chorasmian", "Common", "Coptic", "Cuneiform", "Cypriot", "Cypro_Minoan",
    "Cyrillic", "Deseret", "Devanagari", "Dives_Akuru", "Dogra", "Duployan",
    "Egyptian_Hieroglyphs", "Elbasan", "Elymaic", "Ethiopic", "Georgian", "Glagolitic", "Gothic",
    "Grantha", "Greek", "Gujarati", "Gunjala_Gondi", "Gurmukhi", "Han", "Hangul",
    "Hanifi_Rohingya", "Hanunoo", "Hatran", "Hebrew", "Hiragana", "Imperial_Aramaic", "Inherited",
    "Inscriptional_Pahlavi", "Inscriptional_Parthian", "Javanese", "Kaithi", "Kannada",
    "Katakana", "Kayah_Li", "Kharoshthi", "Khitan_Small_Script", "Khmer", "Khojki", "Khudawadi",
    "Lao", "Latin", "Lepcha", "Limbu", "Linear_A", "Linear_B", "Lisu", "Lycian", "Lydian",
    "Mahajani", "Makasar", "Malayalam", "Mandaic", "Manichaean", "Marchen", "Masaram_Gondi",
    "Medefaidrin", "Meetei_Mayek", "Mende_Kikakui", "Meroitic_Cursive", "Meroitic_Hieroglyphs",
    "Miao", "Modi", "Mongolian", "Mro", "Multani", "Myanmar", "Nabataean", "Nandinagari",
    "New_Tai_Lue", "Newa", "Nko", "Nushu", "Nyiakeng_Puachue_Hmong", "Ogham", "Ol_Chiki",
    "Old_Hungarian", "Old_Italic", "Old_North_Arabian", "Old_Permic", "Old_Persian",
    "Old_Sogdian", "Old_South_Arabian", "Old_Turkic", "Old_Uyghur", "Oriya", "Osage", "Osmanya",
    "Pahawh_Hmong", "Palmyrene", "Pau_Cin_Hau", "Phags_Pa", "Phoenician", "Psalter_Pahlavi",
    "Rejang", "Runic", "Samaritan", "Saurashtra", "Sharada", "Shavian", "Siddham", "SignWriting",
    "Sinhala", "Sogdian", "Sora_Sompeng", "Soyombo", "Sundanese", "Syloti_Nagri", "Syriac",
    "Tagalog", "Tagbanwa", "Tai_Le", "Tai_Tham", "Tai_Viet", "Takri", "Tamil", "Tangsa", "Tangut",
    "Telugu", "Thaana", "Thai", "Tibetan", "Tifinagh", "Tirhuta", "Toto", "Ugaritic", "Vai",
    "Vithkuqi", "Wancho", "Warang_Citi", "Yezidi", "Yi", "Zanabazar_Square",
};
/* clang-format on */

static bool is_filler(char c) {
    return c == '_' || c == '-' || c == ' ';
}

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static bool same_name(struct str a, struct str b) {
    size_t i = 0;
    size_t j = 0;
    for (;;) {
        while (i < a.len && is_filler(a.ptr[i])) {
            i++;
        }
        while (j < b.len && is_filler(b.ptr[j])) {
            j++;
        }
        if (i == a.len || j == b.len) {
            return i == a.len && j == b.len;
        }
        if (lower(a.ptr[i++]) != lower(b.ptr[j++])) {
            return false;
        }
    }
}

struct str regex_property_name(struct str name, struct arena *arena) {
    if (same_name(name, STR("Assigned"))) {
        return STR("^Cn");
    }
    for (size_t i = 0; i < COUNT_OF(categories); i++) {
        if (same_name(name, categories[i].name)) {
            return str_of(categories[i].engine_name);
        }
    }
    for (size_t i = 0; i < COUNT_OF(scripts); i++) {
        if (same_name(name, str_of(scripts[i]))) {
            return arena_printf(arena, "sc:%s", scripts[i]);
        }
    }
    return STR("");
}
