"""The papers that methods of this package are from, by key: the kind of the BibTeX entry, and its fields."""

from __future__ import annotations

from ._version import __version__

PAPERS: dict[str, tuple[str, dict[str, str]]] = {
    "aitimestepper": (
        "software",
        {
            "title": "aitimestepper: a learned time stepper for gravitational N-body simulation",
            "author": "{The aitimestepper developers}",
            "version": __version__,
            "year": "2026",
        },
    ),
    "verlet1967": (
        "article",
        {
            "title": "Computer ``Experiments'' on Classical Fluids. I. Thermodynamical Properties of Lennard-Jones Molecules",
            "author": "Verlet, Loup",
            "journal": "Physical Review",
            "volume": "159",
            "pages": "98--103",
            "year": "1967",
            "doi": "10.1103/PhysRev.159.98",
        },
    ),
    "suzuki1990": (
        "article",
        {
            "title": "Fractal decomposition of exponential operators with applications to many-body theories and "
            "Monte Carlo simulations",
            "author": "Suzuki, Masuo",
            "journal": "Physics Letters A",
            "volume": "146",
            "pages": "319--323",
            "year": "1990",
            "doi": "10.1016/0375-9601(90)90962-N",
        },
    ),
    "kahanli1997": (
        "article",
        {
            "title": "Composition constants for raising the orders of unconventional schemes for ordinary differential "
            "equations",
            "author": "Kahan, William and Li, Ren-Cang",
            "journal": "Mathematics of Computation",
            "volume": "66",
            "pages": "1089--1099",
            "year": "1997",
            "doi": "10.1090/S0025-5718-97-00873-9",
        },
    ),
    "blanesmoan2002": (
        "article",
        {
            "title": 'Practical symplectic partitioned Runge--Kutta and Runge--Kutta--Nystr{\\"o}m methods',
            "author": "Blanes, S. and Moan, P. C.",
            "journal": "Journal of Computational and Applied Mathematics",
            "volume": "142",
            "pages": "313--330",
            "year": "2002",
            "doi": "10.1016/S0377-0427(01)00492-7",
        },
    ),
    "chin1997": (
        "article",
        {
            "title": "Symplectic integrators from composite operator factorizations",
            "author": "Chin, Siu A.",
            "journal": "Physics Letters A",
            "volume": "226",
            "pages": "344--348",
            "year": "1997",
            "doi": "10.1016/S0375-9601(97)00003-0",
        },
    ),
    "makinoaarseth1992": (
        "article",
        {
            "title": "On a Hermite integrator with Ahmad-Cohen scheme for gravitational many-body problems",
            "author": "Makino, Junichiro and Aarseth, Sverre J.",
            "journal": "Publications of the Astronomical Society of Japan",
            "volume": "44",
            "pages": "141--151",
            "year": "1992",
        },
    ),
    "mikkolatanikawa1999": (
        "article",
        {
            "title": "Algorithmic regularization of the few-body problem",
            "author": "Mikkola, Seppo and Tanikawa, Kiyotaka",
            "journal": "Monthly Notices of the Royal Astronomical Society",
            "volume": "310",
            "pages": "745--749",
            "year": "1999",
            "doi": "10.1046/j.1365-8711.1999.02982.x",
        },
    ),
    "pretotremaine1999": (
        "article",
        {
            "title": "A Class of Symplectic Integrators with Adaptive Time Step for Separable Hamiltonian Systems",
            "author": "Preto, Miguel and Tremaine, Scott",
            "journal": "The Astronomical Journal",
            "volume": "118",
            "pages": "2532--2541",
            "year": "1999",
            "doi": "10.1086/301102",
            "eprint": "astro-ph/9906322",
        },
    ),
    "everhart1985": (
        "inproceedings",
        {
            "title": "An efficient integrator that uses Gauss-Radau spacings",
            "author": "Everhart, Edgar",
            "booktitle": "Dynamics of Comets: Their Origin and Evolution",
            "editor": "Carusi, A. and Valsecchi, G. B.",
            "pages": "185--202",
            "year": "1985",
        },
    ),
    "reinspiegel2015": (
        "article",
        {
            "title": "IAS15: a fast, adaptive, high-order integrator for gravitational dynamics, accurate to machine precision "
            "over a billion orbits",
            "author": "Rein, Hanno and Spiegel, David S.",
            "journal": "Monthly Notices of the Royal Astronomical Society",
            "volume": "446",
            "pages": "1424--1437",
            "year": "2015",
            "doi": "10.1093/mnras/stu2164",
            "eprint": "1409.4779",
        },
    ),
    "prs2024": (
        "article",
        {
            "title": "A new timestep criterion for N-body simulations",
            "author": "Pham, Dang and Rein, Hanno and Spiegel, David S.",
            "journal": "The Open Journal of Astrophysics",
            "volume": "7",
            "year": "2024",
            "eprint": "2401.02849",
        },
    ),
    "grudichopkins2020": (
        "article",
        {
            "title": "A general-purpose time-step criterion for simulations with gravity",
            "author": "Grudi{\\'c}, Michael Y. and Hopkins, Philip F.",
            "journal": "Monthly Notices of the Royal Astronomical Society",
            "volume": "495",
            "pages": "4306--4313",
            "year": "2020",
            "doi": "10.1093/mnras/staa1453",
            "eprint": "1910.06349",
        },
    ),
    "boekholt2022": (
        "misc",
        {"title": "{arXiv:2212.09745}", "author": "Boekholt, Tjarda C. N. and others", "year": "2022", "eprint": "2212.09745"},
    ),
    "aarseth1985": (
        "incollection",
        {
            "title": "Direct methods for N-body simulations",
            "author": "Aarseth, Sverre J.",
            "booktitle": "Multiple Time Scales",
            "editor": "Brackbill, J. U. and Cohen, B. I.",
            "publisher": "Academic Press",
            "pages": "377--418",
            "year": "1985",
        },
    ),
    "hutmakino2003": (
        "misc",
        {
            "title": "Moving Stars Around",
            "author": "Hut, Piet and Makino, Jun",
            "year": "2003",
            "note": "The Art of Computational Science",
        },
    ),
    "hutmakinomcmillan1995": (
        "article",
        {
            "title": "Building a Better Leapfrog",
            "author": "Hut, Piet and Makino, Jun and McMillan, Steve",
            "journal": "The Astrophysical Journal Letters",
            "volume": "443",
            "pages": "L93--L96",
            "year": "1995",
            "doi": "10.1086/187844",
        },
    ),
    "holder2001": (
        "article",
        {
            "title": "Explicit variable step-size and time-reversible integration",
            "author": "Holder, Thomas and Leimkuhler, Ben and Reich, Sebastian",
            "journal": "Applied Numerical Mathematics",
            "volume": "39",
            "pages": "367--377",
            "year": "2001",
        },
    ),
    "pelupessy2012": (
        "article",
        {
            "title": "N-body integrators with individual time steps from Hierarchical Hamiltonian splitting",
            "author": 'Pelupessy, F. Inti and J{\\"a}nes, J{\\"u}rgen and Portegies Zwart, Simon',
            "journal": "New Astronomy",
            "volume": "17",
            "pages": "711--719",
            "year": "2012",
            "eprint": "1205.5668",
        },
    ),
    "plummer1911": (
        "article",
        {
            "title": "On the problem of distribution in globular star clusters",
            "author": "Plummer, H. C.",
            "journal": "Monthly Notices of the Royal Astronomical Society",
            "volume": "71",
            "pages": "460--470",
            "year": "1911",
            "doi": "10.1093/mnras/71.5.460",
        },
    ),
    "miyamotonagai1975": (
        "article",
        {
            "title": "Three-dimensional models for the distribution of mass in galaxies",
            "author": "Miyamoto, M. and Nagai, R.",
            "journal": "Publications of the Astronomical Society of Japan",
            "volume": "27",
            "pages": "533--543",
            "year": "1975",
        },
    ),
    "nfw1997": (
        "article",
        {
            "title": "A Universal Density Profile from Hierarchical Clustering",
            "author": "Navarro, Julio F. and Frenk, Carlos S. and White, Simon D. M.",
            "journal": "The Astrophysical Journal",
            "volume": "490",
            "pages": "493--508",
            "year": "1997",
            "doi": "10.1086/304888",
        },
    ),
    "nobiliroxburgh1986": (
        "inproceedings",
        {
            "title": "Simulation of general relativistic corrections in long term numerical integrations of planetary orbits",
            "author": "Nobili, Anna M. and Roxburgh, Ian W.",
            "booktitle": "Relativity in Celestial Mechanics and Astrometry",
            "series": "IAU Symposium",
            "volume": "114",
            "pages": "105--110",
            "year": "1986",
        },
    ),
    "reinliu2012": (
        "article",
        {
            "title": "REBOUND: an open-source multi-purpose N-body code for collisional dynamics",
            "author": "Rein, Hanno and Liu, Shang-Fei",
            "journal": "Astronomy \\& Astrophysics",
            "volume": "537",
            "pages": "A128",
            "year": "2012",
            "doi": "10.1051/0004-6361/201118085",
            "eprint": "1110.4876",
        },
    ),
}
