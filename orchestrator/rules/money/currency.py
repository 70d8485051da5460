"""Currencies: the active codes of ISO 4217 and how many decimals each has.

Source: ISO 4217, list one (current currency and funds codes), as of 1 January 2026; the
facts alone. Payment services count minor units as this list does. CLDR, which babel
contains, counts them as people write prices: no decimals for RSD, none for IQD, and so
on; amounts read by it would be wrong by a factor of 100 or 1,000.

Left out: codes that are no longer money of a country or a union (historic ones, such as
DEM, HRK, ZWL), metals and baskets without minor units (XAU, XDR, XSU, XUA), the codes
for tests and for no currency (XTS, XXX), and funds codes that nobody pays in (BOV, CHE,
CHW, CLF, COU, MXV, USN, UYI, UYW).
"""

from types import MappingProxyType

_BY_PLACES = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF",
    2: "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN "
    "BZD CAD CDF CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP "
    "GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD "
    "KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN "
    "NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG "
    "SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH "
    "USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG",
    3: "BHD IQD JOD KWD LYD OMR TND",
}
PLACES = MappingProxyType(
    {code: places for places, codes in _BY_PLACES.items() for code in codes.split()}
)


def is_active(code: str) -> bool:
    """Return whether this currency is in use today."""
    return code in PLACES


def places_of(code: str) -> int:
    """Return a currency's number of decimals; two for an unknown currency."""
    return PLACES.get(code, 2)
