"""Who the packaged shares and exchange-traded funds are: names, sectors, what they do.

Sectors are those of the Global Industry Classification Standard (MSCI and S&P, as of 2022).
"""

from __future__ import annotations

from typing import NamedTuple

ETF = "factor etf"


class Firm(NamedTuple):
    """A share or an exchange-traded fund."""

    name: str
    category: str
    description: str


SHARES: dict[str, Firm] = {
    "AAPL": Firm(
        "Apple Inc.",
        "Information Technology",
        "Designs phones, computers and tablets and sells software and services for them.",
    ),
    "AMD": Firm(
        "Advanced Micro Devices, Inc.",
        "Information Technology",
        "Designs processors and graphics chips for personal computers, consoles and data centers.",
    ),
    "BAC": Firm(
        "Bank of America Corporation",
        "Financials",
        "Takes deposits, lends, manages wealth and trades for households and firms in the US.",
    ),
    "BBY": Firm(
        "Best Buy Co., Inc.",
        "Consumer Discretionary",
        "Sells consumer electronics and appliances in large stores and online.",
    ),
    "CVX": Firm(
        "Chevron Corporation",
        "Energy",
        "Explores for, produces, refines and sells oil and natural gas worldwide.",
    ),
    "GE": Firm(
        "General Electric Company",
        "Industrials",
        "Makes aircraft engines, power turbines and medical equipment.",
    ),
    "HD": Firm(
        "The Home Depot, Inc.",
        "Consumer Discretionary",
        "Sells building materials, tools and garden goods to home owners and contractors.",
    ),
    "JNJ": Firm(
        "Johnson & Johnson",
        "Health Care",
        "Makes medicines, medical devices and consumer health products.",
    ),
    "JPM": Firm(
        "JPMorgan Chase & Co.",
        "Financials",
        "Combines retail banking, investment banking, payments and asset management.",
    ),
    "KO": Firm(
        "The Coca-Cola Company",
        "Consumer Staples",
        "Sells soft drink concentrates and other beverages through bottlers all over the world.",
    ),
    "LLY": Firm(
        "Eli Lilly and Company",
        "Health Care",
        "Develops and sells medicines, among them insulins, cancer and antidepressant drugs.",
    ),
    "MRK": Firm(
        "Merck & Co., Inc.",
        "Health Care",
        "Develops and sells prescription medicines, vaccines and animal health products.",
    ),
    "MSFT": Firm(
        "Microsoft Corporation",
        "Information Technology",
        "Sells operating systems, office software, cloud computing and game consoles.",
    ),
    "PEP": Firm(
        "PepsiCo, Inc.",
        "Consumer Staples",
        "Sells snacks, soft drinks and other packaged foods.",
    ),
    "PFE": Firm(
        "Pfizer Inc.",
        "Health Care",
        "Develops and sells prescription medicines and vaccines.",
    ),
    "PG": Firm(
        "The Procter & Gamble Company",
        "Consumer Staples",
        "Makes branded household goods: detergents, diapers, razors and cosmetics.",
    ),
    "RRC": Firm(
        "Range Resources Corporation",
        "Energy",
        "Drills for natural gas and oil, in the Appalachian basin above all.",
    ),
    "UNH": Firm(
        "UnitedHealth Group Incorporated",
        "Health Care",
        "Sells health insurance and runs clinics, pharmacy services and health data firms.",
    ),
    "WMT": Firm(
        "Walmart Inc.",
        "Consumer Staples",
        "Sells groceries and general goods at low prices in large stores and online.",
    ),
    "XOM": Firm(
        "Exxon Mobil Corporation",
        "Energy",
        "Explores for, produces and refines oil and natural gas and makes petrochemicals.",
    ),
}

ETFS: dict[str, Firm] = {
    "MTUM": Firm(
        "iShares MSCI USA Momentum Factor ETF",
        ETF,
        "Holds large and medium US shares whose prices have risen most, adjusted for risk.",
    ),
    "QUAL": Firm(
        "iShares MSCI USA Quality Factor ETF",
        ETF,
        "Holds large and medium US shares with high profitability, stable earnings and low debt.",
    ),
    "SIZE": Firm(
        "iShares MSCI USA Size Factor ETF",
        ETF,
        "Holds large and medium US shares and leans towards the smaller ones.",
    ),
    "USMV": Firm(
        "iShares MSCI USA Min Vol Factor ETF",
        ETF,
        "Holds large and medium US shares in the combination that should vary least.",
    ),
    "VLUE": Firm(
        "iShares MSCI USA Value Factor ETF",
        ETF,
        "Holds large and medium US shares that are cheap by earnings, sales and book value.",
    ),
}
