"""Names that the paper and CelebA use. Imports nothing, so that whoever needs only a name waits for nothing."""

# The paper's Conv1 ... FC, shallow to deep: where Z may be read.
LAYERS: tuple[str, ...] = ("conv1", "conv2", "conv3", "conv4", "avgpool", "fc")

# The drawn people's: as they are, and older, darker and noisier.
DOMAINS: tuple[str, ...] = ("standard", "shifted")

# CelebA's forty attributes, in the order of list_attr_celeba.txt (Liu et al., ICCV 2015).
ATTRIBUTES: tuple[str, ...] = tuple(
    """5_o_Clock_Shadow Arched_Eyebrows Attractive Bags_Under_Eyes Bald Bangs Big_Lips Big_Nose Black_Hair
    Blond_Hair Blurry Brown_Hair Bushy_Eyebrows Chubby Double_Chin Eyeglasses Goatee Gray_Hair Heavy_Makeup
    High_Cheekbones Male Mouth_Slightly_Open Mustache Narrow_Eyes No_Beard Oval_Face Pale_Skin Pointy_Nose
    Receding_Hairline Rosy_Cheeks Sideburns Smiling Straight_Hair Wavy_Hair Wearing_Earrings Wearing_Hat
    Wearing_Lipstick Wearing_Necklace Wearing_Necktie Young""".split()
)
