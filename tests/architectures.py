"""Published ConvLSTM networks, rebuilt from their descriptions at small sizes.

Each function takes ``keras`` and gives a model whose weights :func:`matrix.randomize` then seeds.
"""

from __future__ import annotations

from typing import Any


def _framewise(keras: Any, layer: Any, x: Any) -> Any:
    return keras.layers.TimeDistributed(layer)(x)


def next_frame(keras: Any) -> Any:
    """keras.io, "Next-Frame Video Prediction with Convolutional LSTMs" (Joshi 2021), 8 filters for 64."""
    layers = keras.layers
    frames = keras.Input((None, 20, 20, 1))
    x = frames
    for size in (5, 3, 1):
        x = layers.ConvLSTM2D(8, size, padding="same", return_sequences=True, activation="relu")(x)
        if size > 1:
            x = layers.BatchNormalization()(x)
    y = layers.Conv3D(1, (3, 3, 3), activation="sigmoid", padding="same")(x)
    return keras.Model(frames, y)


def moving_squares(keras: Any) -> Any:
    """The ConvLSTM example of Keras 1 and 2: four layers of 3x3, then a Conv3D, 6 filters for 40."""
    layers = keras.layers
    model = keras.Sequential([keras.Input((None, 16, 16, 1))])
    for _ in range(4):
        model.add(layers.ConvLSTM2D(6, (3, 3), padding="same", return_sequences=True))
        model.add(layers.BatchNormalization())
    model.add(layers.Conv3D(1, (3, 3, 3), activation="sigmoid", padding="same"))
    return model


def anomaly(keras: Any) -> Any:
    """Auto-encoder for abnormal events: Chong & Tay 2017, "Abnormal Event Detection in Videos using
    Spatiotemporal Autoencoder", with the layer normalization of its Keras ports; an eighth of the filters.
    """
    layers = keras.layers
    frames = keras.Input((6, 48, 48, 1))
    x = _framewise(keras, layers.Conv2D(16, 11, strides=4, padding="same"), frames)
    x = layers.LayerNormalization()(x)
    x = _framewise(keras, layers.Conv2D(8, 5, strides=2, padding="same"), x)
    x = layers.LayerNormalization()(x)
    for filters in (8, 4, 8):
        x = layers.ConvLSTM2D(filters, 3, padding="same", return_sequences=True)(x)
        x = layers.LayerNormalization()(x)
    x = _framewise(keras, layers.Conv2DTranspose(8, 5, strides=2, padding="same"), x)
    x = layers.LayerNormalization()(x)
    x = _framewise(keras, layers.Conv2DTranspose(16, 11, strides=4, padding="same"), x)
    x = layers.LayerNormalization()(x)
    y = _framewise(keras, layers.Conv2D(1, 11, activation="sigmoid", padding="same"), x)
    return keras.Model(frames, y)


def bcdu_net(keras: Any) -> Any:
    """A U-Net whose skips join in a ConvLSTM over two steps: Azad et al. 2019, "Bi-Directional ConvLSTM
    U-Net with Densley Connected Convolutions" (the released code runs it backwards), one level.
    """
    layers = keras.layers
    image = keras.Input((16, 16, 3))
    skip = layers.Conv2D(4, 3, activation="relu", padding="same")(image)
    x = layers.MaxPooling2D()(skip)
    x = layers.Conv2D(8, 3, activation="relu", padding="same")(x)
    x = layers.Dropout(0.5)(x)
    dense = layers.Conv2D(8, 3, activation="relu", padding="same")(x)
    x = layers.Concatenate()([x, dense])
    up = layers.Conv2DTranspose(4, 2, strides=2, padding="same")(x)
    up = layers.Activation("relu")(layers.BatchNormalization(axis=3)(up))
    steps = layers.Concatenate(axis=1)(
        [layers.Reshape((1, 16, 16, 4))(skip), layers.Reshape((1, 16, 16, 4))(up)]
    )
    x = layers.ConvLSTM2D(2, 3, padding="same", return_sequences=False, go_backwards=True)(steps)
    x = layers.Conv2D(4, 3, activation="relu", padding="same")(x)
    return keras.Model(image, layers.Conv2D(1, 1, activation="sigmoid")(x))


def pyramid(keras: Any) -> Any:
    """Strided ConvLSTMs down, transposed convolutions up, joined level by level."""
    layers = keras.layers
    frames = keras.Input((None, 24, 20, 2))
    fine = layers.ConvLSTM2D(4, 3, strides=2, padding="same", return_sequences=True)(frames)
    coarse = layers.ConvLSTM2D(6, 3, strides=2, padding="same", return_sequences=True)(fine)
    up = _framewise(keras, layers.Conv2DTranspose(4, 3, strides=2, padding="same"), coarse)
    x = layers.Add()([fine, up])
    return keras.Model(frames, _framewise(keras, layers.Conv2DTranspose(1, 4, strides=2), x))


def dilated_both_ways(keras: Any) -> Any:
    """Bidirectional ConvLSTMs with dilation, one for each way of merging."""
    layers = keras.layers
    frames = keras.Input((None, 14, 13, 2))
    x = frames
    for mode in ("concat", "sum", "ave", "mul"):
        cell = layers.ConvLSTM2D(
            3, 3, dilation_rate=2, padding="same", return_sequences=True, activation="relu"
        )
        x = layers.Bidirectional(cell, merge_mode=mode)(x)
    last = layers.Bidirectional(layers.ConvLSTM2D(2, 3, padding="same"))(x)
    return keras.Model(frames, [x, last])


def encoder_decoder(keras: Any) -> Any:
    """The state of an encoder starts a decoder that reads a sequence of its own."""
    layers = keras.layers
    past = keras.Input((None, 12, 10, 2), name="past")
    known = keras.Input((None, 12, 10, 1), name="known")
    _, h, c = layers.ConvLSTM2D(4, 3, padding="same", return_state=True)(past)
    x = layers.ConvLSTM2D(4, 3, padding="same", return_sequences=True)(known, initial_state=[h, c])
    return keras.Model([past, known], _framewise(keras, layers.Conv2D(1, 1), x))


def repeated_encoder(keras: Any) -> Any:
    """The last state of an encoder, repeated, is what the decoder reads: RepeatVector on flat maps."""
    layers = keras.layers
    frames = keras.Input((5, 8, 8, 2))
    last = layers.ConvLSTM2D(3, 3, padding="same")(frames)
    x = layers.RepeatVector(4)(layers.Flatten()(last))
    x = layers.Reshape((4, 8, 8, 3))(x)
    x = layers.ConvLSTM2D(3, 3, padding="same", return_sequences=True)(x)
    return keras.Model(frames, layers.Conv3D(1, (3, 3, 3), padding="same")(x))


def lrcn(keras: Any) -> Any:
    """A CNN a frame, then a recurrent network: Donahue et al. 2015, with a Bidirectional LSTM."""
    layers = keras.layers
    cnn = keras.Sequential(
        [
            keras.Input((24, 24, 3)),
            layers.Conv2D(4, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(4),
            layers.Conv2D(8, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
        ]
    )
    frames = keras.Input((6, 24, 24, 3))
    x = _framewise(keras, cnn, frames)
    x = layers.Bidirectional(layers.LSTM(8))(x)
    x = layers.Dropout(0.25)(x)
    return keras.Model(frames, layers.Dense(5, activation="softmax")(x))


def human_activity(keras: Any) -> Any:
    """ConvLSTMs of 4, 8, 14 and 16 filters with pools between, then one Dense over all frames."""
    layers = keras.layers
    model = keras.Sequential([keras.Input((4, 64, 64, 3))])
    for filters in (4, 8, 14, 16):
        model.add(layers.ConvLSTM2D(filters, (3, 3), activation="tanh", return_sequences=True))
        model.add(layers.MaxPooling3D((1, 2, 2), padding="same"))
        if filters < 16:
            model.add(layers.TimeDistributed(layers.Dropout(0.2)))
    model.add(layers.Flatten())
    model.add(layers.Dense(4, activation="softmax"))
    return model


def masked_genre_net(keras: Any) -> Any:
    """The article's genre net for trailers padded with empty frames, which a mask lets it pass over.

    Pools, which drop the mask, come before BatchNormalization, which in Keras refuses one of frames.
    """
    layers, ops = keras.layers, keras.ops
    frames = keras.Input((None, 3, 24, 36))
    mask = ops.any(ops.not_equal(frames, 0.0), axis=(2, 3, 4))
    first = {"data_format": "channels_first", "padding": "same"}
    x = frames
    for filters, pool in ((6, 2), (4, 3)):
        x = layers.ConvLSTM2D(filters, 3, return_sequences=True, **first)(x, mask=mask)
        x = layers.MaxPooling3D((1, pool, pool), **first)(x)
        x = layers.BatchNormalization()(x)
    scores = []
    for genre in ("comedy", "action"):
        y = layers.ConvLSTM2D(3, 3, return_sequences=True, **first)(x, mask=mask)
        y = layers.MaxPooling3D((1, 2, 2), **first)(y)
        for layer in (layers.Flatten(), layers.Dense(8), layers.Dense(1, name=f"cat_{genre}")):
            y = _framewise(keras, layer, y)
        scores.append(y)
    return keras.Model(frames, scores)


def stateful_frame(keras: Any) -> Any:
    """A live network: one frame a call, the state stays."""
    layers = keras.layers
    frame = keras.Input(batch_shape=(1, 1, 12, 12, 2))
    x = layers.ConvLSTM2D(3, 3, padding="same", stateful=True, return_sequences=True)(frame)
    x = layers.ConvLSTM2D(2, 3, padding="same", stateful=True)(x)
    return keras.Model(frame, layers.Dense(2)(layers.Flatten()(x)))


WHOLE = (
    next_frame,
    moving_squares,
    anomaly,
    bcdu_net,
    pyramid,
    dilated_both_ways,
    encoder_decoder,
    repeated_encoder,
    lrcn,
    human_activity,
)
