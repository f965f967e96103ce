
namespace OrleansCache.Fuzz.Stores;

/// <summary>
/// Fuzzing of the stores and their index: the bytes of an input decide what happens to two small stores and their model (<see cref="StoreWorld"/>,
/// which the tests run under seeds), from their options to each request. Inputs are new, or former ones with a few bytes changed, cut and joined.
/// Non-goal: coverage guidance.
/// </summary>
internal sealed class StoreFuzzer(int seed)
{
    private const int InputBytesMax = 6000;
    private const int KeptMax = 64;
    private const int StepsPerCheck = 500;

    private readonly Random _random = new(seed);
    private readonly List<byte[]> _kept = [];

    /// <summary>Makes and checks one input. Returns what is wrong with the stores, or null.</summary>
    public string? Step(out byte[] input)
    {
        input = _kept.Count == 0 || _random.Next(3) == 0 ? New()
            : InputMutation.Of(_kept[_random.Next(_kept.Count)], _kept[_random.Next(_kept.Count)], _random);
        if (_kept.Count < KeptMax)
            _kept.Add(input);
        else
            _kept[_random.Next(KeptMax)] = input;
        return Check(input);
    }

    /// <summary>Runs one input. Returns what is wrong with the stores, or null.</summary>
    public static string? Check(byte[] input)
    {
        var choices = new InputChoices(input);
        StoreWorld? world = null;
        try
        {
            world = new StoreWorld(choices, plenty: false, ownThread: false);
            while (!choices.IsAtEnd)
            {
                world.Step();
                if (world.Steps % StepsPerCheck == 0)
                    world.Check();
            }

            world.Finish();
            world.Dispose();
            return null;
        }
        catch (Exception exception)
        {
            return $"step {world?.Steps}, {world}: {exception}"; // what is corrupt is left as it is
        }
    }

    private byte[] New()
    {
        byte[] input = new byte[_random.Next(InputBytesMax)];
        _random.NextBytes(input);
        return input;
    }
}

/// <summary>Changes of an input.</summary>
internal static class InputMutation
{
    public static byte[] Of(byte[] input, byte[] other, Random random)
    {
        byte[] changed = [.. input];
        for (int i = 1 + random.Next(8); i > 0 && changed.Length > 0; i--)
        {
            int at = random.Next(changed.Length);
            switch (random.Next(6))
            {
                case 0:
                    changed[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 1:
                    changed[at] = (byte)random.Next(256);
                    break;
                case 2:
                    changed[at] = (byte)(random.Next(2) * 255);
                    break;
                case 3:
                    changed = changed[..at];
                    break;
                case 4:
                    changed = [.. changed[..at], .. changed[random.Next(changed.Length)..]];
                    break;
                default:
                    changed = [.. changed[..at], .. other[random.Next(other.Length + 1)..]];
                    break;
            }

            if (changed.Length > 64 * 1024)
                changed = changed[..(64 * 1024)];
        }

        return changed;
    }
}
