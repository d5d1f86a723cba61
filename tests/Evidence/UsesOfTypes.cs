using System.Reflection;
using System.Reflection.Emit;

namespace DatFs.Evidence;

/// <summary>One type's use of another or of one of its members.</summary>
public readonly record struct TypeUse(Type User, Type Used, string Member);

/// <summary>
/// Reads from compiled code which types use which: bases, interfaces, fields, signatures, and every instruction of every
/// method. Unlike a search of the sources it also sees names that need no using directive.
/// </summary>
public static class UsesOfTypes
{
    private const BindingFlags Own = BindingFlags.DeclaredOnly | BindingFlags.Instance | BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic;

    private static readonly Dictionary<short, OpCode> s_opCodes = typeof(OpCodes).GetFields()
        .Where(f => f.FieldType == typeof(OpCode))
        .Select(f => (OpCode)f.GetValue(null)!)
        .ToDictionary(o => o.Value);

    /// <summary>All uses within the assembly's code; users that are nested or generated are named by their outermost type.</summary>
    public static IEnumerable<TypeUse> In(Assembly assembly)
    {
        HashSet<TypeUse> uses = [];
        foreach (Type type in assembly.GetTypes())
        {
            Type user = Outermost(type);
            void Add(Type? used, string member)
            {
                if (used is null) return;
                foreach (Type part in Parts(used)) uses.Add(new TypeUse(user, Outermost(part), member));
            }

            Add(type.BaseType, "");
            foreach (Type implemented in type.GetInterfaces()) Add(implemented, "");
            foreach (FieldInfo field in type.GetFields(Own)) Add(field.FieldType, "");
            foreach (MethodBase method in type.GetMethods(Own).Cast<MethodBase>().Concat(type.GetConstructors(Own)))
            {
                if (method is MethodInfo { ReturnType: { } result }) Add(result, "");
                foreach (ParameterInfo parameter in method.GetParameters()) Add(parameter.ParameterType, "");
                if (method.GetMethodBody() is not { } body) continue;
                foreach (LocalVariableInfo local in body.LocalVariables) Add(local.LocalType, "");
                foreach (MemberInfo member in Operands(method, body.GetILAsByteArray()!))
                {
                    Add(member as Type ?? member.DeclaringType, member is Type ? "" : member.Name);
                    if (member is MethodInfo { IsGenericMethod: true } generic)
                        foreach (Type argument in generic.GetGenericArguments()) Add(argument, "");
                }
            }
        }

        return uses;
    }

    private static IEnumerable<MemberInfo> Operands(MethodBase method, byte[] code)
    {
        Type[]? typeArguments = method.DeclaringType is { IsGenericType: true } generic ? generic.GetGenericArguments() : null;
        Type[]? methodArguments = method is MethodInfo { IsGenericMethod: true } info ? info.GetGenericArguments() : null;
        for (int at = 0; at < code.Length;)
        {
            short value = code[at++];
            if (value == 0xFE) value = unchecked((short)(0xFE00 | code[at++]));
            OpCode opCode = s_opCodes[value];
            if (opCode.OperandType is OperandType.InlineField or OperandType.InlineMethod or OperandType.InlineTok or OperandType.InlineType
                && method.Module.ResolveMember(BitConverter.ToInt32(code, at), typeArguments, methodArguments) is { } member)
                yield return member;
            at += opCode.OperandType switch
            {
                OperandType.InlineNone => 0,
                OperandType.ShortInlineBrTarget or OperandType.ShortInlineI or OperandType.ShortInlineVar => 1,
                OperandType.InlineVar => 2,
                OperandType.InlineI8 or OperandType.InlineR => 8,
                OperandType.InlineSwitch => 4 + 4 * BitConverter.ToInt32(code, at),
                _ => 4,
            };
        }
    }

    /// <summary>The type without array, pointer and reference, and its generic arguments.</summary>
    private static IEnumerable<Type> Parts(Type type)
    {
        while (type.HasElementType) type = type.GetElementType()!;
        if (type.IsGenericParameter || type.IsFunctionPointer) yield break;
        yield return type;
        foreach (Type argument in type.GetGenericArguments())
            foreach (Type part in Parts(argument))
                yield return part;
    }

    private static Type Outermost(Type type)
    {
        while (type.DeclaringType is { } outer) type = outer;
        return type;
    }
}
