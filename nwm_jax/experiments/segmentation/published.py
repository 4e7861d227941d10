"""The published scores of segmentation models (arXiv:2502.06034)."""

SOURCE = (
    "arXiv:2502.06034, its public repository: 300 epochs, full size, 10 or 12 seeds"
)

_NAMES = (
    "accuracy_foreground",
    "iou_foreground",
    "accuracy",
    "iou",
    "cross_entropy",
    "iou_legacy",
)
# For each of the names above mean and sample standard deviation over seeds; "iou" is the
# corrected one, in places with two digits only.
_TABLE = """
mnist nwm linear  0.9031 0.024  0.8516 0.0365  0.9867 0.0033  0.9746 0.0063  0.0404 0.0092  0.8838 0.0289
mnist nwm fft  0.7582 0.0549  0.6537 0.0692  0.9666 0.0075  0.9371 0.0137  0.0966 0.0201  0.7238 0.0591
mnist nwm last  0.5021 0.0758  0.3856 0.0714  0.9325 0.0101  0.8766 0.0176  0.1793 0.0252  0.4889 0.0771
mnist nwm mean_time  0.4599 0.0804  0.3516 0.0735  0.9266 0.0105  0.8667 0.02  0.1965 0.0274  0.4563 0.0734
mnist nwm max_time  0.4816 0.0699  0.3659 0.0669  0.9291 0.0099  0.8708 0.02  0.1856 0.0221  0.4702 0.0698
mnist convlstm linear  0.7864 0.2796  0.7276 0.263  0.9712 0.0369  0.9473 0.0637  0.1155 0.2043  0.762 0.2728
mnist convlstm fft  0.7334 0.2656  0.6558 0.2462  0.964 0.0351  0.9338 0.0604  0.1356 0.1981  0.7058 0.2589
mnist convlstm last  0.3159 0.2294  0.2376 0.1766  0.9074 0.0292  0.8347 0.0485  0.3476 0.2407  0.3191 0.2292
mnist convlstm mean_time  0.4201 0.0886  0.3103 0.074  0.9206 0.0123  0.8562 0.0208  0.2092 0.029  0.4265 0.0673
mnist convlstm max_time  0.4222 0.0512  0.3083 0.0444  0.9213 0.0066  0.8573 0.0113  0.2081 0.0177  0.4266 0.0447
mnist cnn 2  0.1377 0.0568  0.0969 0.0351  0.8852 0.0065  0.7974 0.0104  0.3354 0.1266  0.1965 0.073
mnist cnn 4  0.1919 0.1137  0.1301 0.0727  0.8919 0.0139  0.8082 0.0224  0.3537 0.1805  0.2206 0.1221
mnist cnn 8  0.4205 0.1483  0.3032 0.1074  0.922 0.0193  0.8582 0.0317  0.2462 0.1578  0.4028 0.142
mnist cnn 16  0.5686 0.393  0.5047 0.3495  0.9419 0.0515  0.8959 0.0881  0.2681 0.2949  0.5478 0.379
mnist cnn 32  0.2696 0.4341  0.2544 0.4096  0.9028 0.057  0.8296 0.0985  0.5026 0.3101  0.2651 0.4269
tetrominoes nwm linear  0.9866 0.004  0.9768 0.0067  0.9974 0.0008  0.99 0  0.0079 0.0024  0.983 0.0051
tetrominoes nwm fft  0.983 0.0065  0.9709 0.0105  0.9967 0.0013  0.99 0  0.0101 0.0039  0.9788 0.0079
tetrominoes nwm last  0.9419 0.0578  0.9031 0.0944  0.99 0.009  0.98 0.02  0.0306 0.0209  0.9234 0.0766
tetrominoes nwm mean_time  0.9209 0.0691  0.869 0.1103  0.9871 0.0102  0.98 0.02  0.0352 0.0209  0.8908 0.0986
tetrominoes nwm max_time  0.8821 0.1053  0.8135 0.1546  0.9811 0.0157  0.96 0.03  0.0502 0.0347  0.8457 0.14
tetrominoes convlstm linear  0.9678 0.0184  0.9432 0.0321  0.994 0.003  0.99 0.01  0.0187 0.0076  0.9605 0.0215
tetrominoes convlstm fft  0.9501 0.042  0.9136 0.0693  0.9914 0.0062  0.98 0.01  0.0258 0.0153  0.9334 0.0581
tetrominoes convlstm last  0.5855 0.4144  0.5179 0.3765  0.9391 0.0591  0.89 0.1  0.2385 0.2819  0.5403 0.3873
tetrominoes convlstm mean_time  0.6447 0.2488  0.5308 0.2313  0.9474 0.0355  0.9 0.06  0.1491 0.1767  0.5721 0.2372
tetrominoes convlstm max_time  0.6231 0.297  0.5216 0.3097  0.9444 0.0425  0.9 0.07  0.1579 0.1807  0.5616 0.3002
tetrominoes cnn 2  0.237 0.0833  0.141 0.0496  0.8893 0.0119  0.81 0.02  0.2659 0.1335  0.243 0.0864
tetrominoes cnn 4  0.3094 0.1645  0.2025 0.1077  0.8997 0.0234  0.82 0.04  0.2803 0.1925  0.2728 0.1445
tetrominoes cnn 8  0.7363 0.2588  0.6374 0.2242  0.9609 0.037  0.93 0.06  0.1142 0.1868  0.6638 0.2335
tetrominoes cnn 16  0.3984 0.5143  0.3972 0.5128  0.913 0.0742  0.85 0.13  0.3886 0.3317  0.3981 0.5139
tetrominoes cnn 32  0.3251 0.4714  0.316 0.4732  0.9024 0.0681  0.83 0.12  0.4075 0.308  0.3251 0.4713
multimnist nwm linear  0.955 0.0058  0.9275 0.0094  1 0  1 0  0.0072 0.0009  0.94 0.01
multimnist unet 2  0.663 0.2731  0.6022 0.2752  0.98 0.01  0.97 0.02  0.057 0.0266  0.66 0.27
multimnist unet 3  0.9001 0.1043  0.8655 0.1291  1 0  0.99 0.01  0.027 0.0125  0.91 0.08
multimnist unet 4  0.9724 0.0049  0.9596 0.0068  1 0  1 0  0.0113 0.0021  0.97 0.01
multimnist unet 5  0.9791 0.003  0.9693 0.0046  1 0  1 0  0.008 0.0023  0.98 0.01
"""


def _read() -> dict[tuple[str, str], dict[str, tuple[float, float]]]:
    table = {}
    for line in _TABLE.strip().splitlines():
        dataset, model, variant, *words = line.split()
        numbers = [float(word) for word in words]
        pairs = zip(numbers[::2], numbers[1::2], strict=True)
        table[dataset, f"{model} {variant}"] = dict(zip(_NAMES, pairs, strict=True))
    return table


_PUBLISHED = _read()


def scores(dataset: str, model: str) -> dict[str, tuple[float, float]]:
    """Returns the published scores of a model.

    Args:
      dataset: "mnist", "tetrominoes" or "multimnist".
      model: "nwm linear", "convlstm fft", "cnn 8", "unet 3", ...

    Returns:
      Mean and sample standard deviation over seeds by the name of the score; {} where
      nothing was published.
    """
    return dict(_PUBLISHED.get((dataset, model), {}))
