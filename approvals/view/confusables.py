"""Characters that look like ASCII ones and are not, after Unicode Technical Standard 39.

Made from `confusables.txt` of Unicode 15.1 (copyright 1991-2023 Unicode, Inc., under the
Unicode License V3): every character whose prototype there is printable ASCII, by that
prototype. It omits the characters that every version of `unicodedata` can map: decimal
digits, and what NFKC turns into ASCII (mathematical and full-width letters).
"""

from typing import Final

_BY_PROTOTYPE: Final = {
    "!": "01C3 2D51",
    "&": "A778",
    "'": (
        "00B4 02B9 02BB 02BC 02BD 02BE 02C8 02CA 02CB 02F4 0374 0384 055A 055D "
        "144A 16CC 1FBD 1FBF 1FFD 1FFE 2018 2019 201B 2032 2035 A78C 16F51 "
        "16F52"
    ),
    "''": "02BA 02DD 02EE 02F6 1CD3 201C 201D 201F 2033 2036 3003",
    "'''": "2034 2037",
    "''''": "2057",
    "'B": "0181",
    "'D": "018A",
    "'P": "01A4",
    "'T": "01AC",
    "'Y": "01B3",
    "'n": "0149",
    "(": "2768 2772 3014 FD3E",
    "((": "2E28",
    "(S)": "1F12A",
    ")": "2769 2773 3015 FD3F",
    "))": "2E29",
    "*": "204E 2217 1031F",
    "+": "16ED 2795 1029B",
    ",": "00B8 201A A4F9",
    "-": "02D7 2010 2011 2012 2013 2043 2212 2796 2CBA FE58",
    "-.": "A4FE",
    ".": "A4F8 A60E 1D16D",
    ".,": "A4FB",
    "..": "A4FA",
    "/": "1735 2041 2044 2215 2571 27CB 29F8 2CC6 2F03 3033 30CE 31D3 4E3F 1D23A",
    "//": "2AFD",
    "///": "2AFB",
    "2": "01A7 03E8 14BF A644 A6EF A75A",
    "3": "01B7 021C 0417 04E0 2CCC A76A A7AB 118CA 16F3B 1D206",
    "4": "13CE 118AF",
    "5": "01BC 118BB",
    "6": "0431 13EE 2CD2 118D5",
    "7": "104D2 118C6 1D212",
    "8": "0222 0223 0B03 1031A",
    "9": "2CCA A76E 118AC 118CC 118D6",
    ":": "02D0 02F8 0589 0903 0A83 16EC 1803 1809 205A 2236 A4FD A789",
    "<": "02C2 1438 16B2 2039 276E 1D236",
    "<<": "226A",
    "<<<": "22D8",
    "=": "1400 2E40 30A0 A4FF",
    ">": "02C3 1433 203A 276F 16F3F 1D237",
    "><": "2AA5",
    ">>": "226B 2A20",
    ">>>": "22D9",
    "?": "0241 0294 097D 13AE A6EB",
    "A": "0391 0410 13AA 15C5 A4EE 102A0 16F40 1D6A8 1D6E2 1D71C 1D756 1D790",
    "AA": "A732",
    "AE": "00C6 04D4",
    "AO": "A734",
    "AR": "1F707",
    "AU": "A736",
    "AV": "A738 A73A",
    "AY": "A73C",
    "B": (
        "0392 0412 13F4 15F7 A4D0 A7B4 10282 102A1 10301 1D6A9 1D6E3 1D71D 1D757 1D791"
    ),
    "C": "03F9 0421 13DF 2CA4 A4DA 102A2 10302 10415 1051C 118F2 1F74C",
    "C'": "0187",
    "D": "13A0 15DE 15EA A4D3",
    "E": (
        "0395 0415 13AC 22FF 2D39 A4F0 10286 118A6 118AE 1D6AC 1D6E6 1D720 1D75A 1D794"
    ),
    "F": "03DC 15B4 A4DD A798 10287 102A5 10525 118A2 118C2 1D213 1D7CA",
    "G": "050C 13C0 13F3 A4D6",
    "G'": "0193",
    "H": "0397 041D 13BB 157C 2C8E A4E7 102CF 1D6AE 1D6E8 1D722 1D75C 1D796",
    "J": "037F 0408 13AB 148D A4D9 A7B2",
    "K": "039A 041A 13E6 16D5 2C94 A4D7 10518 1D6B1 1D6EB 1D725 1D75F 1D799",
    "K'": "0198",
    "L": "13DE 14AA 2CD0 A4E1 1041B 10526 118A3 118B2 16F16 1D22A",
    "M": (
        "039C 03FA 041C 13B7 15F0 16D6 2C98 A4DF 102B0 10311 1D6B3 1D6ED 1D727 "
        "1D761 1D79B"
    ),
    "MB": "1F76B",
    "N": "039D 2C9A A4E0 10513 1D6B4 1D6EE 1D728 1D762 1D79C",
    "O": (
        "039F 041E 0555 0B20 12D0 2C9E 2D54 3007 A4F3 10292 102AB 10404 104C2 "
        "10516 118B5 1D6B6 1D6F0 1D72A 1D764 1D79E"
    ),
    "O'": "01A0 13A4",
    "OE": "0152",
    "OO": "A698 A74E",
    "P": "03A1 0420 13E2 146D 2CA2 A4D1 10295 1D6B8 1D6F2 1D72C 1D766 1D7A0",
    "P'": "1486",
    "Q": "2D55",
    "QE": "1F700",
    "R": "01A6 13A1 13D2 1587 A4E3 104B4 16F35 1D216",
    "S": "0405 054F 13D5 13DA A4E2 10296 10420 16F3A",
    "T": (
        "03A4 0422 13A2 22A4 27D9 2CA6 A4D4 10297 102B1 10315 118BC 16F0A "
        "1D6BB 1D6F5 1D72F 1D769 1D7A3 1F768"
    ),
    "T3": "A728",
    "U": "054D 1200 144C 222A 22C3 A4F4 104CE 118B8 16F42",
    "U'": "1467",
    "V": "0474 13D9 142F 2D38 A4E6 A6DF 1051D 118A0 16F08 1D20D",
    "VB": "1F76C",
    "W": "051C 13B3 13D4 A4EA 118EF",
    "X": (
        "03A7 0425 166D 16B7 2573 2CAC 2D5D A4EB A7B3 10290 102B4 10317 10322 "
        "10527 118EC 1D6BE 1D6F8 1D732 1D76C 1D7A6"
    ),
    "Y": (
        "03A5 03D2 0423 04AE 13A9 13BD 2CA8 A4EC 102B2 118A4 16F43 1D6BC 1D6F6 "
        "1D730 1D76A 1D7A4"
    ),
    "Z": "0396 13C3 A4DC 102F5 118A9 1D6AD 1D6E7 1D721 1D75B 1D795",
    "\\": "2216 27CD 29F5 29F9 2F02 31D4 4E36 1D20F 1D23B",
    "\\\\": "244A 2CF9",
    "^": "02C4 02C6",
    "a": "0251 03B1 0430 237A 1D6C2 1D6FC 1D736 1D770 1D7AA",
    "aa": "A733",
    "ae": "00E6 04D5",
    "ao": "A735",
    "au": "A737",
    "av": "A739 A73B",
    "ay": "A73D",
    "b": "0184 042C 13CF 1472 15AF",
    "b'": "1488",
    "bl": "042B",
    "c": "03F2 0441 1D04 2CA5 ABAF 1043D",
    "d": "0501 13E7 146F A4D2",
    "d'": "1487",
    "dz": "02A3",
    "e": "0435 04BD 212E AB32",
    "f": "0584 1E9D A799 AB35",
    "g": "018D 0261 0581 1D83",
    "h": "04BB 0570 13C2",
    "i": (
        "0131 0269 026A 02DB 037A 03B9 0456 04CF 13A5 1FBE 2373 A647 AB75 "
        "118C3 1D6A4 1D6CA 1D704 1D73E 1D778 1D7B2"
    ),
    "j": "03F3 0458",
    "l": (
        "0196 01C0 0399 0406 04C0 16C1 2223 23FD 2C92 2D4F A4F2 FFE8 1028A "
        "10309 10320 16F28 1D6B0 1D6EA 1D724 1D75E 1D798"
    ),
    "lO": "042E",
    "ll": "01C1 2016 2225",
    "ls": "02AA",
    "lt": "20B6",
    "lz": "02AB",
    "n": "0578 057C",
    "o": (
        "03BF 03C3 043E 0585 0C02 0C82 0D02 0D20 0D82 101D 10FF 1D0F 1D11 2C9F "
        "AB3D 1042C 104EA 118C8 118D7 1D6D0 1D6D4 1D70A 1D70E 1D744 1D748 "
        "1D77E 1D782 1D7B8 1D7BC"
    ),
    "o'": "01A1",
    "oe": "0153",
    "oo": "221E A699 A74F",
    "p": (
        "03C1 03F1 0440 2374 2CA3 1D6D2 1D6E0 1D70C 1D71A 1D746 1D754 1D780 "
        "1D78E 1D7BA 1D7C8"
    ),
    "q": "051B 0563 0566",
    "r": "0433 1D26 2C85 AB47 AB48 AB81",
    "r'": "0491",
    "rn": "11700",
    "s": "01BD 0455 A731 ABAA 10448 118C1",
    "sss": "1F75C",
    "tf": "A777",
    "ts": "02A6",
    "u": "028B 03C5 057D 1D1C A79F AB4E AB52 104F6 118D8 1D6D6 1D710 1D74A 1D784 1D7BE",
    "ue": "1D6B",
    "uo": "AB63",
    "v": "03BD 0475 1D20 2228 22C1 ABA9 11706 118C0 1D6CE 1D708 1D742 1D77C 1D7B6",
    "w": "026F 0461 051D 0561 1D21 AB83 1170A 1170E 1170F",
    "x": "00D7 0445 1541 157D 166E 292B 292C 2A2F",
    "y": (
        "0263 028F 03B3 0443 04AF 10E7 1D8C 1EFF 213D AB5A 118DC 1D6C4 1D6FE "
        "1D738 1D772 1D7AC"
    ),
    "z": "1D22 AB93 118C4",
    "{": "2774 1D114",
    "}": "2775",
    "~": "02DC 1FC0 2053 223C",
}

# Each look-alike, and the one or more ASCII characters it resembles.
LOOKS_LIKE: Final = {
    chr(int(code, 16)): prototype
    for prototype, codes in _BY_PROTOTYPE.items()
    for code in codes.split()
}
