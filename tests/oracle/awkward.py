"""Strings that tokenizers get wrong: a fixed list, seeded random Unicode, and texts around a vocabulary's own tokens."""
import random
import unicodedata

import corpus

FIXED = [
    "", " ", "  ", "   ", "    ", " " * 7, " " * 8, " " * 16, " " * 33, " " * 100,
    "\t", "\t\t", "\n", "\n\n", "\n\n\n", "\r", "\r\n", "\r\n\r\n", "\n\r", " \n", "\n ", " \n ", "  \n  \n  x", "\t\n\t",
    "a\tb", "a \tb", "a\t b", "a\n", "\na", "a\n\nb", "a\r\nb", "a \r\n b", "a\x0bb", "a\x0cb", "\x00", "a\x00b", "\x01\x02\x1f", "\x7f",
    "x  y", "x   y", "x \n y", "x\n  y", "trailing ", "trailing  ", " leading", "  leading", "\tleading", " both ", "one  two   three    four",
    "Hello", " Hello", "hello world", "Hello, world!", "HELLO WORLD", "HeLLo WoRLd", "hello_world", "hello-world", "helloWorldFooBar",
    "it's", "IT'S", "It'S", "don't", "DON'T", "we're", "WE'RE", "they've", "THEY'VE", "I'm", "I'M", "you'll", "YOU'LL", "he'd", "HE'D",
    "'s", "'S", " 's", "'t", "''s", "'re're", "'sa", "s's's", "o'clock", "rock'n'roll", "it’s", "don’t", "'ſ", "'LL'll'Ll'lL", "'Re 've 'VE'M",
    "0", "1", "12", "123", "1234", "12345", "123456", "1234567", "1,234,567.89", "3.14159", "-1", "+1", "1e-5", "0x1F", "007", "1st 2nd 3rd", " 42", "  42", "a1b2c3", "2026-01-31T14:05:09Z",
    "٠١٢٣٤٥٦٧٨٩", "۰۱۲۳", "०१२३४५", "๐๑๒๓", "১২৩", "０１２３", "𝟎𝟏𝟐𝟑", "①②③", "½¼¾", "ⅣⅧⅻ", "一二三", "²³¹", "x²+y³", "〇", "1٢3", "𒐀𒐁", "🄀", "৴", "፩፪",
    "!", "!!", "!!!", "?!", "...", "…", "--", "---", "—", "–", "(a)", "[b]", "{c}", "<d>", "a.b.c", "#!/bin/sh", "$100", "100%", "a&b", "a@b.com", "https://example.org/a/b?c=d&e=f#g", "C:\\path\\to", "~", "`x`", "^", "|", "\\", "\\n", "\"q\"", "=======", "******", "_____", "!\n", "!\r\n", "! \n", "?\n\n", ".\n\n\n", " .", " !!\n", ";\n}\n",
    "é", "e\u0301", "café", "cafe\u0301", "Å", "Å", "A\u030a", "ñandú", "ﬁnal", "ß", "ẞ", "İstanbul", "ıI", "ǅ", "ʰ", "ª", "ᵃ", "a\u0300\u0301\u0302\u0303", "Z\u0351\u036b\u0343a\u0328\u0321l\u0353g\u0324o\u0335", "\u0301", " \u0301", "\u0301a", "1\u0301", "q\u0307\u0323", "한", "\u1112\u1161\u11ab", "각", "ガ", "カ\u3099",
    "日本語", "日本語のテキスト", "中文字符", "你好,世界!", "今天是2026年。", "ｆｕｌｌｗｉｄｔｈ", "カタカナ", "ひらがな", "ｶﾀｶﾅ", "한국어", "안녕하세요 세계", "漢字 kanji かな", "𠀀𠀁", "㍿", "々", "「引用」", "。。。", "　全角　空白　",
    "مرحبا", "السَّلَامُ عَلَيْكُمْ", "لا إله", "١٢٣ مرحبا", "שלום", "שָׁלוֹם", "שלום עולם", "ไทย", "สวัสดีครับ", "กำลัง", "นี้", "हिन्दी", "नमस्ते दुनिया", "क्षत्रिय", "বাংলা", "தமிழ்", "తెలుగు", "മലയാളം", "ខ្មែរ", "မြန်မာ", "ລາວ", "བོད་ཡིག", "ქართული", "Հայերեն", "አማርኛ", "ᏣᎳᎩ", "Привет, мир!", "Ελληνικά", "ΑΒΓ αβγ", "ᠮᠣᠩᠭᠣᠯ",
    "😀", "😀😀", " 😀", "👍🏽", "👨‍👩‍👧‍👦", "🏳️‍🌈", "🇫🇷🇩🇪", "❤️", "☺", "☺️", "1️⃣", "#️⃣", "🤷🏾‍♀️", "a😀b", "😀 text 😀", "👩‍💻 codes", "🫠", "♟", "🀄",
    "\x85", "a\x85b", " \x85 ", "\x85\n", "\u180e", "a\u180eb", " \u180e ", "\u00a0", "a\u00a0b", "\u00a0\u00a0", " \u00a0 ", "\u00a0a", "\u1680", "\u2000\u2001\u2002", "a\u2003b", "\u2028", "a\u2028b", "\u2029", "\u202f", "\u205f", "\u3000", "a\u3000b", "\u200b", "a\u200bb", "\u200c", "\u200d", "\u200e\u200f", "\u2060", "\ufeff", "\ufeffa", "a\ufeffb", "\u00ad", "so\u00adft", "\u2061", "\u034f",
    "\x1c", "a\x1cb", "\x1d\x1e\x1f", " \x1f ", "\u061c", "\u115f", "\u3164", "\ufffd", "\ufffc", "\ufdd0", "\uffff", "\U0001ffff", "\U0010ffff", "\ue000", "\ue000\uf8ff", "\U000f0000", "\U00100000", "\ufe0f", "\U000e0001", "\U000e0041", "\ud7ff", "￿a",
    "supercalifragilisticexpialidocious", "Donaudampfschifffahrtsgesellschaftskapitän", "pneumonoultramicroscopicsilicovolcanoconiosis", "a" * 50, "ab" * 40, "x" * 257, "aaaaAAAA" * 8, "lll" * 21, "." * 64, "=" * 65, "-" * 120, "\n" * 20, "\t" * 17, " \n" * 9, "!?" * 20, "1" * 40, "é" * 30, "😀" * 12, "the the the the", "  the  the", "0" * 17 + "." + "9" * 17,
    "def f(x):\n    return x\n", "if (a<b) { c++; }", "for i in range(10):\n\tprint(i)\n", "x = [1,2,3]\ny = {'a': 1}", "SELECT * FROM t WHERE a='b';", "<html><body>&nbsp;</body></html>", "#include <stdio.h>\n", "let x = () => {};", "a->b::c.d", "/* comment */ // more", "\\frac{1}{2}", "$x^2$", "```python\nprint()\n```", "- item\n- item\n  - sub", "| a | b |\n|---|---|", "key: value\nlist:\n  - 1\n", "\x1b[31mred\x1b[0m", "!=", "==", "===", "&&", "||", "<<=", "=>", "...args", "%d%s\\n", "std::vector<int>{1,2};",
    "Mr. O'Neill's 3rd dog's", "WE'LL see what THEY'D do", "'tis 'twas", "y'all'd've", "A.B.C.", "e.g., i.e.", "U.S.A.'s", "100km/h", "5'11\"", "$3.50-$4.00", "(555) 123-4567", "100,000", "1/2", "10:30am", "CamelCaseXMLParser2Go", "snake_case_with_123_numbers", "état-major", "naïve façade", "Ærøskøbing", "l'été", "L'ÉTÉ",
]


def scalar_values(rng, low, high):
    """One assigned character; unassigned ones change class from one Unicode version to the next."""
    while True:
        char = chr(rng.randrange(low, high))
        if unicodedata.category(char) not in ("Cn", "Cs"):
            return char


def random_strings(count, seed):
    """Mixtures of few or many character classes."""
    rng = random.Random(seed)
    classes = [
        lambda: chr(rng.randrange(0x20, 0x7F)),
        lambda: rng.choice(" \t\n\r  "),
        lambda: rng.choice("0123456789"),
        lambda: rng.choice("'’\"-_.,!?sStTdDmMlLrRvVeE"),
        lambda: rng.choice("\x85\xa0\u1680\u180e\u2003\u2028\u200b\u200d\u3000\ufeff"),
        lambda: scalar_values(rng, 0x80, 0x600),
        lambda: scalar_values(rng, 0x300, 0x370),
        lambda: scalar_values(rng, 0x600, 0x1200),
        lambda: scalar_values(rng, 0x2000, 0x2C00),
        lambda: scalar_values(rng, 0x3000, 0xA000),
        lambda: scalar_values(rng, 0x10000, 0x20000),
        lambda: scalar_values(rng, 0x80, 0x110000),
    ]
    strings = []
    for _ in range(count):
        chosen = rng.sample(classes, rng.randint(1, 5))
        strings.append("".join(rng.choice(chosen)() for _ in range(rng.randint(1, 30))))
    return strings


def around_tokens(found):
    """Texts with whole, doubled, cut and embedded control or user-defined tokens."""
    strings = []
    for token in found:
        strings += [token, f"a{token}b", f" {token} ", f"x {token}\ny", token + token, f"{token}\n\n{token}  {token}",
                    token[:-1], token[1:], token[:-2] + " " + token[-2:], token.upper(), f"<{token}>", f"'{token}'s", f"12{token}34"]
    if len(found) > 1:
        first, second = found[0], found[1]
        strings += [first + second, second + first, first[:-1] + second, first[:3] + second + first[3:],
                    f"{first}user\nHi there!{second}\n{first}assistant\n", " ".join(found), "".join(found)]
    return strings


def texts(found, random_count, seed):
    """Everything above and the corpus, each text once."""
    paragraphs = corpus.english() + corpus.OTHER_SCRIPTS + corpus.CODE
    sentences = [part.strip() + "." for paragraph in corpus.english() for part in paragraph.split(".") if part.strip()]
    return list(dict.fromkeys(FIXED + paragraphs + sentences + around_tokens(found) + random_strings(random_count, seed)))
