"""How frequent attributes are, what they depend on and what they exclude: the tables of `arl.faces.attributes`."""

# Percent positive, as commonly reported from CelebA's list_attr_celeba.txt (Liu, Luo, Wang and Tang, "Deep Learning Face
# Attributes in the Wild", ICCV 2015).
FREQUENCIES = {
    "5_o_Clock_Shadow": 11.11, "Arched_Eyebrows": 26.70, "Attractive": 51.25, "Bags_Under_Eyes": 20.46,
    "Bald": 2.24, "Bangs": 15.16, "Big_Lips": 24.08, "Big_Nose": 23.45, "Black_Hair": 23.93,
    "Blond_Hair": 14.80, "Blurry": 5.09, "Brown_Hair": 20.52, "Bushy_Eyebrows": 14.22, "Chubby": 5.76,
    "Double_Chin": 4.67, "Eyeglasses": 6.51, "Goatee": 6.28, "Gray_Hair": 4.19, "Heavy_Makeup": 38.69,
    "High_Cheekbones": 45.50, "Male": 41.68, "Mouth_Slightly_Open": 48.34, "Mustache": 4.15,
    "Narrow_Eyes": 11.51, "No_Beard": 83.49, "Oval_Face": 28.41, "Pale_Skin": 4.29, "Pointy_Nose": 27.74,
    "Receding_Hairline": 7.98, "Rosy_Cheeks": 6.57, "Sideburns": 5.65, "Smiling": 48.21,
    "Straight_Hair": 20.84, "Wavy_Hair": 31.96, "Wearing_Earrings": 18.89, "Wearing_Hat": 4.85,
    "Wearing_Lipstick": 47.24, "Wearing_Necklace": 12.30, "Wearing_Necktie": 7.27, "Young": 77.36,
}  # fmt: skip

# In the order of decision: percent among CelebA's men (approximate; the rest of the rate falls to the women), the
# share of the variation that belongs to the photograph rather than the person, and loadings on four common factors,
# which carry CelebA's correlations: age, glamour (make-up, jewellery), cheer (a laughing face) and weight.
RATES = {
    "Male": (None, 0.0, {}),
    "Young": (64.0, 0.0, {"age": -0.85, "weight": -0.1}),
    "Bald": (5.37, 0.0, {"age": 0.45}),
    "Wearing_Hat": (8.4, 0.5, {}),
    "Receding_Hairline": (12.1, 0.0, {"age": 0.4}),
    "Bangs": (8.1, 0.03, {"age": -0.2}),
    "Gray_Hair": (8.5, 0.0, {"age": 0.75}),
    "Wavy_Hair": (14.0, 0.0, {"glamour": 0.3}),
    "Straight_Hair": (24.0, 0.0, {}),
    "Smiling": (40.0, 0.85, {"cheer": 0.9}),
    "High_Cheekbones": (30.5, 0.7, {"cheer": 0.8, "weight": -0.1}),
    "Mouth_Slightly_Open": (43.0, 0.95, {"cheer": 0.65}),
    "Heavy_Makeup": (0.3, 0.1, {"glamour": 0.85, "age": -0.15}),
    "Wearing_Lipstick": (0.7, 0.1, {"glamour": 0.85}),
    "Pale_Skin": (2.2, 0.0, {}),
    "Rosy_Cheeks": (0.3, 0.3, {"glamour": 0.4, "cheer": 0.35}),
    "Arched_Eyebrows": (5.0, 0.0, {"glamour": 0.4}),
    "Bushy_Eyebrows": (25.0, 0.0, {"glamour": -0.1}),
    "Wearing_Earrings": (1.6, 0.5, {"glamour": 0.3}),
    "Wearing_Necktie": (17.3, 0.5, {"age": 0.35}),
    "Wearing_Necklace": (1.2, 0.6, {"glamour": 0.25}),
    "Eyeglasses": (12.5, 0.01, {"age": 0.35}),
    "Bags_Under_Eyes": (34.0, 0.03, {"age": 0.35, "weight": 0.1}),
    "Narrow_Eyes": (12.3, 0.3, {"cheer": 0.2}),
    "Big_Nose": (42.0, 0.0, {"age": 0.25, "weight": 0.35}),
    "Pointy_Nose": (16.3, 0.0, {"glamour": 0.25, "weight": -0.25}),
    "Big_Lips": (18.5, 0.0, {"glamour": 0.1}),
    "Chubby": (12.0, 0.0, {"age": 0.2, "weight": 0.85}),
    "Double_Chin": (9.9, 0.0, {"age": 0.3, "weight": 0.8}),
    "Oval_Face": (20.5, 0.0, {"glamour": 0.15, "weight": -0.2}),
    "Blurry": (4.8, 1.0, {}),
}
MEN = FREQUENCIES["Male"] / 100
FACTOR_PHOTO = {"age": 0.0, "glamour": 0.03, "cheer": 0.8, "weight": 0.0}  # what of a factor is the photograph's

# Never true together with one already decided; `RATES` above is in order of decision.
EXCLUDED = {
    "Wearing_Hat": ("Bald",),
    "Receding_Hairline": ("Bald", "Wearing_Hat"),
    "Bangs": ("Bald", "Wearing_Hat", "Receding_Hairline"),
    "Gray_Hair": ("Bald",),
    "Wavy_Hair": ("Bald", "Wearing_Hat"),
    "Straight_Hair": ("Bald", "Wearing_Hat", "Wavy_Hair"),
    "Wearing_Necklace": ("Wearing_Necktie",),
    "Pointy_Nose": ("Big_Nose",),
    "Oval_Face": ("Chubby", "Double_Chin"),
    "Rosy_Cheeks": ("Pale_Skin",),
}

# Hair from dark to fair: what a person's place between 0 and 1 means. In CelebA a third has none of the four names:
# chestnut between black and brown, auburn, or sandy.
HAIR_COLOURS = {  # men, women: percent
    "Black_Hair": (28.0, 21.0),
    "chestnut": (20.0, 10.0),
    "Brown_Hair": (15.0, 24.5),
    "auburn": (8.0, 11.0),
    "sandy": (13.1, 8.5),
    "Blond_Hair": (2.0, 23.95),
}

# Beards of men, percent: the sums give 5 o'clock shadow 26.66, goatee 15.07, moustache 9.96, sideburns 13.56,
# no beard 60.4 of the men, nought of the women.
BEARDS = (
    (34.40, ()),
    (4.00, ("Sideburns",)),
    (22.00, ("5_o_Clock_Shadow",)),
    (6.00, ("Goatee", "Mustache")),
    (6.07, ("Goatee",)),
    (3.00, ("Goatee", "5_o_Clock_Shadow")),
    (2.96, ("Mustache",)),
    (1.00, ("Mustache", "5_o_Clock_Shadow")),
    (9.56, ("beard", "Sideburns")),
    (10.35, ("beard",)),
    (0.66, ("beard", "5_o_Clock_Shadow")),
)

# The rule of Attractive: what adds and what takes away.
ATTRACTIVE = {
    "Young": 1.1, "Male": -0.55, "Heavy_Makeup": 0.7, "Wearing_Lipstick": 0.3, "Oval_Face": 0.4, "Chubby": -1.2,
    "Double_Chin": -0.9, "Big_Nose": -0.6, "Bags_Under_Eyes": -0.4, "Eyeglasses": -0.8, "Bald": -0.7,
    "Receding_Hairline": -0.5, "Gray_Hair": -0.5, "Arched_Eyebrows": 0.3, "Pointy_Nose": 0.3, "Blurry": -0.8,
    "Wavy_Hair": 0.3, "Goatee": -0.3,
}  # fmt: skip
HARMONY = 0.9  # the weight there of a latent that no attribute names: even skin, symmetry

# Forced by hand, one of a group clears the others.
GROUPS = (
    ("Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair", "chestnut", "auburn", "sandy", "Bald"),
    ("Straight_Hair", "Wavy_Hair", "Bald"),
    ("Bald", "Bangs", "Receding_Hairline"),
    ("Wearing_Hat", "Bangs"), ("Wearing_Hat", "Bald"), ("Wearing_Hat", "Receding_Hairline"),
    ("Wearing_Hat", "Straight_Hair"), ("Wearing_Hat", "Wavy_Hair"),
    ("Wearing_Necklace", "Wearing_Necktie"),
    ("Big_Nose", "Pointy_Nose"),
    ("Oval_Face", "Chubby"), ("Oval_Face", "Double_Chin"),
    ("Rosy_Cheeks", "Pale_Skin"),
)  # fmt: skip
