"""PolyModel: every fund against every risk factor, one at a time, and what follows from it.

Zhao, Dong, Cao, Douady, *Hedge Fund Portfolio Construction Using PolyModel Theory and
iTransformer* (arXiv 2408.03320); Coste, Douady, Zovko, *The StressVaR* (arXiv 0911.4030).
"""
